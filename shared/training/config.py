"""Settings of the training loop: the section `training:` of a config file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

_RANGES = (
    ("seed", 0, 2**40), ("max_steps", 1, 2**40), ("batch_size", 1, 2**16), ("learning_rate", 0, 1e3),
    ("weight_decay", 0, math.inf), ("warmup_steps", 0, math.inf), ("ema_decay", 0, 1), ("gradient_clip", 0, math.inf),
    ("beta2", 0, 0.999999), ("validate_every", 1, math.inf), ("save_every", 0, math.inf),
    ("max_minutes", 0, math.inf), ("threads", 1, 1024), ("prefetch", 0, 1024), ("readers", 1, 1024),
)  # fmt: skip


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
        gradient_clip: largest norm of the gradient; .inf for any.
        beta2: decay of AdamW's second moments.
        precision: "no" (float32), "bf16", or "auto": bf16 where the device is faster in it, else float32.
        validate_every: steps between validations.
        save_every: seconds between checkpoints.
        max_minutes: stop after so many minutes of this run (a later run resumes); None for no limit.
        threads: CPU threads; None leaves torch's default.
        prefetch: batches that are prepared ahead of the step, in threads; 0 prepares each when it is needed.
        readers: threads that prepare them, each a batch of its own; the batches are the same for any number.
    """

    output: str
    seed: int = 0
    max_steps: int = 10_000
    batch_size: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warmup_steps: int = 100
    schedule: Literal["cosine", "constant"] = "cosine"
    ema_decay: float = 0.999
    gradient_clip: float = 1.0
    beta2: float = 0.99
    precision: Literal["no", "bf16", "auto"] = "auto"
    validate_every: int = 500
    save_every: float = 60.0
    max_minutes: float | None = None
    threads: int | None = None
    prefetch: int = 2
    readers: int = 1

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                bound = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
                raise ValueError(f"`{name}` must be a number {bound}, not {value:g}")
