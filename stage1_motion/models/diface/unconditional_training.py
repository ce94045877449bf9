"""Training of 3DiFACE's weights for the empty condition (eq. 3), beside a denoiser that stays as it is.

A denoiser of few steps tells lips from speech and hardly looks at x_t, without speech no more than with it: noise
changes both predictions alike, and their mixture of eq. 3 varies as little as either (docs/results.md). Learned alone,
from x_t only, the empty condition's prediction follows x_t. With s = 1 it has no say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.errors import InputError
from stage1_motion.models.diface.coordinates import Coordinates, FaceCoordinates
from stage1_motion.models.diface.model import KIND
from stage1_motion.models.diface.network import DenoiserConfig, Unconditional
from stage1_motion.models.diface.training import DifaceTask
from stage1_motion.training.clips import Clip

_CROPS = 256  # of held-out people, for the loss that chooses the weights


class UnconditionalTask(DifaceTask):
    """A `shared.training.loop.Task`: `Unconditional`, by eq. 6, in `FaceCoordinates`.

    What it learns there is exactly a network on `Coordinates` whose first layer overlooks, and whose last layer leaves
    out, the directions in which no face moves; as such it is saved, with the denoiser's weights.

    Args:
        clips: to learn from, of the people whom the denoiser knows.
        development: of people who are held out.
        coordinates: of the denoiser.
        config: of the denoiser, with an `unconditional_width`.
        start: the denoiser's file.
        settings: of `DifaceTask`; what concerns speech has no effect.

    Raises:
        InputError: the file holds another network, or knows other people.
    """

    def __init__(self, clips: Sequence[Clip], development: list[Clip], coordinates: Coordinates,
                 config: DenoiserConfig, start: str | Path, **settings: Any):  # fmt: skip
        face = FaceCoordinates(coordinates.space, coordinates.scale, coordinates.head)
        super().__init__(clips, development, face, config, **settings)
        self.start = Path(start)
        self._tensors, self._header = load_checkpoint(self.start, KIND)
        own = replace(config, unconditional_width=0).to_dict()
        with described_as(self.start, KIND):
            known = self._tensors["person.weight"]
            same = replace(DenoiserConfig(**self._header["config"]), unconditional_width=0).to_dict() == own
            same = same and (self._header["scale"], self._header["head"]) == (coordinates.scale, coordinates.head)
            # Somebody who is not learned from comes last.
            self._people = torch.cat([known, self._tensors["sampled_person"][None]])
        if not same:
            raise InputError(f"{self.start}: the denoiser is not the one that `network`, `scale` and `head` describe")
        self.model = Unconditional(replace(config, coordinates=face.count))  # type: ignore[assignment]
        self._judged = self.crops(development or clips, torch.Generator().manual_seed(0), _CROPS)

    def to(self, device: torch.device) -> None:
        """Move what the loss needs."""
        super().to(device)
        self._people = self._people.to(device)
        self._judged = {name: value.to(device) for name, value in self._judged.items()}

    def predict(self, model: Any, noisy: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """x_0 [B, N, D (+ 6)] of a batch, from its x_t alone."""
        return model(noisy, batch["timestep"], self._people[batch["person"]])

    def validate(self, model: Any) -> dict[str, float]:
        """Eq. 6 on crops of held-out people, always the same with the same noise."""
        with torch.no_grad():
            loss = float(self.loss(model, self._judged)[0])
        return {"score": -loss, "loss": loss}

    def save_denoiser(self, model: Any, folder: Path, **more: Any) -> None:
        """Write ``denoiser.safetensors``: that of `start`, and the weights for the empty condition."""
        basis = torch.from_numpy(self.coordinates.basis()).to(self.weights.device)  # type: ignore[attr-defined]
        learned = dict(model.state_dict())
        learned["motion_encoder.weight"] = learned["motion_encoder.weight"] @ basis.T
        for name in ("motion_decoder.weight", "motion_decoder.bias"):
            learned[name] = basis @ learned[name]
        tensors = {name: value for name, value in self._tensors.items() if not name.startswith("unconditional.")}
        tensors |= {f"unconditional.{name}": value for name, value in learned.items()}
        header = {name: value for name, value in self._header.items() if name != "kind"}
        header |= {"config": self.config.to_dict(), **more}
        save_checkpoint(folder / "denoiser.safetensors", KIND, tensors, **header)
