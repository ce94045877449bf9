"""Settings of the training loop: the section `training:` of a config file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from shared.errors import UsageError


@dataclass
class TrainingConfig:
    """Settings of a training; the `training:` section of a config file.

    Args:
        output: folder of `checkpoint.pt`, `log.csv`, TensorBoard events and `best/`, the deployable weights.
        seed: random seed.
        max_steps: optimisation steps.
        batch_size: examples per step, of all processes together.
        learning_rate: the highest one, after the warm-up.
        weight_decay: of matrices (see `_parameter_groups`).
        warmup_steps: steps of linear warm-up.
        schedule: "cosine" decays the learning rate to zero at `max_steps`; "constant" keeps it after the warm-up.
        ema_decay: decay of the averaged weights.
        gradient_clip: largest norm of the gradient.
        precision: "no" (float32), "bf16", or "auto": bf16 where the device is faster in it, else float32.
        validate_every: steps between validations.
        save_every: seconds between checkpoints.
        max_minutes: stop after so many minutes of this run (a later run resumes); None for no limit.
        threads: CPU threads; None leaves torch's default.
        prefetch: batches that a thread prepares ahead of the step; 0 prepares each when it is needed.
    """

    output: str
    seed: int = 0
    max_steps: int = 10_000
    batch_size: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warmup_steps: int = 100
    schedule: str = "cosine"
    ema_decay: float = 0.999
    gradient_clip: float = 1.0
    precision: str = "auto"
    validate_every: int = 500
    save_every: float = 60.0
    max_minutes: float | None = None
    threads: int | None = None
    prefetch: int = 2

    def __post_init__(self) -> None:
        if self.schedule not in ("cosine", "constant"):
            raise UsageError(f"training.schedule must be cosine or constant, not {self.schedule!r}")
        if self.precision not in ("no", "bf16", "auto"):
            raise UsageError(f"training.precision must be no, bf16 or auto, not {self.precision!r}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Build from a parsed YAML section.

        Raises:
            UsageError: a name is not a setting, or the output is missing.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise UsageError(f"unknown training settings: {', '.join(sorted(unknown))}")
        if "output" not in values:
            raise UsageError("the training section has no output folder")
        return cls(**values)
