"""Person-specific fine-tuning of 3DiFACE (§4.2): all weights, on a short clip of one person."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared.errors import InputError
from shared.motion import Motion
from shared.training.config import TrainingConfig
from shared.training.loop import train
from stage1_motion.models.diface.model import Diface
from stage1_motion.models.diface.network import Denoiser
from stage1_motion.models.diface.training import DifaceTask
from stage1_motion.motion_space import TYPICAL_HEAD_STD, TYPICAL_LIP_STD, normalise_speech
from stage1_motion.speech_frontend import SpeechFrontend
from stage1_motion.training.clips import Clip, at_rate

LEAST_SECONDS = 60.0
"""Of speech; with less the paper's fine-tuning diverges (Table 2 b: 5 s) or hardly helps (30 s)."""
_SHORTEST = 12  # frames of a clip
_HELD_OUT = 0.2
_CROPS = 256  # of held-out time, for the loss that chooses the weights


@dataclass(frozen=True)
class Settings:
    """How a person is learned.

    Args:
        steps: of the optimiser; the weights with the lowest loss on held-out time are kept.
        batch_size: crops per step.
        learning_rate: the highest.
        seed: of crops and noise.
        held_out: whether the last fifth of the time chooses the weights; else all time is learned from, to the end.
    """

    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 3e-4
    seed: int = 0
    held_out: bool = True


class PersonTask(DifaceTask):
    """A `shared.training.loop.Task`: the base network goes on learning from one person, with eq. 6.

    Args:
        base: whose weights it starts from; they stay as they are.
        clips: of the person, to learn from.
        held_out: of the person, to choose the weights by.
        card: what the header of the file says besides.
    """

    def __init__(self, base: Diface, clips: list[Clip], held_out: list[Clip], card: dict[str, Any]):
        config = replace(base.network.config, people=1)
        super().__init__(clips, held_out, base.coordinates, config, sampler=base.sampler, **base.loss)
        start = {name: tensor.cpu() for name, tensor in base.network.state_dict().items()}
        self.model.load_state_dict({**start, "person.weight": base.person[None].cpu()})
        self.card = card
        self._judged = self.crops(held_out or clips, torch.Generator().manual_seed(0), _CROPS)

    def person(self, model: Denoiser) -> Tensor:
        """[C]: the person's own vector."""
        return model.person.weight[0]

    def validate(self, model: Denoiser) -> dict[str, float]:
        """Eq. 6 on crops of held-out time, always the same with the same noise."""
        batch = {name: value.to(self.weights.device) for name, value in self._judged.items()}
        with torch.no_grad():
            loss = float(self.loss(model.eval(), batch)[0])
        return {"score": -loss, "loss": loss}

    def save(self, model: Denoiser, folder: Path) -> None:
        """Write ``denoiser.safetensors``."""
        self.save_denoiser(model, folder, **self.card)


def personalise(
    base: Diface,
    frontend: SpeechFrontend,
    motions: Sequence[Motion],
    output: Path,
    *,
    settings: Settings = Settings(),
    card: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Fine-tune on one person, going on from where an earlier call with the same arguments was stopped.

    Args:
        base: the model of everybody.
        frontend: its speech encoder.
        motions: of the person, with their sound.
        output: folder of the training; ``best/denoiser.safetensors`` is the person's.
        settings: see `Settings`.
        card: strings that the file's header gets besides.
        progress: called with (steps done, steps in all).

    Returns:
        "loss" of the weights on held-out time and "base", that of the base's.

    Raises:
        InputError: nothing that can be learned from.
    """
    clips, held_out = person_clips(base, frontend, motions, settings.held_out)
    seconds = sum(len(clip.speech) for clip in [*clips, *held_out]) / base.fps
    if seconds < LEAST_SECONDS:
        warnings.warn(
            f"{seconds:.0f} s are little to learn a person from: with less than {LEAST_SECONDS:.0f} s the result may "
            "be worse than the model of everybody",
            stacklevel=2,
        )
    task = PersonTask(
        base, clips, held_out, {"person": "", **(card or {}), "speech_encoder": frontend.encoder.fingerprint}
    )
    before = task.validate(task.model)["loss"]
    every = max(1, settings.steps // 12) if settings.held_out else settings.steps
    config = TrainingConfig(
        output=str(output),
        seed=settings.seed,
        max_steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.steps // 20,
        ema_decay=0.98,
        validate_every=every,
        save_every=20,
    )
    request, asked = _digest(base, [*clips, *held_out], settings, task.card), output / "request"
    resume = asked.exists() and asked.read_text() == request
    output.mkdir(parents=True, exist_ok=True)
    if not resume:
        (output / "checkpoint.pt").unlink(missing_ok=True)
        asked.write_text(request)
    return {"loss": -train(task, config, progress=progress)["best_score"], "base": before}


def _digest(base: Diface, clips: list[Clip], settings: Settings, card: dict[str, Any]) -> str:
    """Of all that a fine-tuning depends on."""
    digest = hashlib.sha256(json.dumps([asdict(settings), card, base.loss, asdict(base.sampler)]).encode())
    for tensor in (base.person, *base.network.state_dict().values()):
        digest.update(tensor.cpu().numpy().tobytes())
    for clip in clips:
        motion = clip.motion
        for array in (motion.audio, motion.expression, motion.rotation, motion.translation, motion.identity):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_learnable(motion: Motion) -> None:
    """Raise InputError when a motion lacks what a person is learned from."""
    if motion.audio is None:
        raise InputError(f"{motion.source or 'the motion'}: without sound nothing can be learned about speech")
    if motion.identity is None:
        raise InputError(f"{motion.source or 'the motion'}: the shape of the person's face is not known")


def person_clips(
    base: Diface, frontend: SpeechFrontend, motions: Sequence[Motion], hold_out: bool = True
) -> tuple[list[Clip], list[Clip]]:
    """What to learn from and what is held out: the last fifth of every motion, or of several the last ones.

    Raises:
        InputError: a motion without sound, or all of them too short.
    """
    whole: list[Clip] = []
    for number, motion in enumerate(motions):
        check_learnable(motion)
        assert motion.audio is not None
        heard = frontend(motion.audio)
        frames = min(len(heard), len(motion))
        speech = normalise_speech(heard.features, heard.events.speaks)
        for start, stop in _seen(motion, frames):
            clip = _clip(f"clip{number}.{start}", motion.slice(start, stop), speech[start:stop])
            whole.append(at_rate(clip, base.fps))
    if not whole:
        raise InputError(f"no clip has {_SHORTEST} frames with sound to learn from")
    if not hold_out:
        return whole, []
    if len(motions) > 4:
        count = max(1, round(_HELD_OUT * len(whole)))
        return whole[:-count], whole[-count:]
    learned, held_out = [], []
    for clip in whole:
        end = round((1 - _HELD_OUT) * len(clip.speech))
        if min(end, len(clip.speech) - end) < _SHORTEST:
            learned.append(clip)
            continue
        learned.append(_clip(clip.name, clip.motion.slice(0, end), clip.speech[:end]))
        behind = clip.motion.slice(end, len(clip.speech))
        held_out.append(_clip(f"{clip.name} held out", behind, clip.speech[end:]))
    return learned, held_out


def _seen(motion: Motion, frames: int) -> list[tuple[int, int]]:
    """Runs (start, stop) of the first frames that show the face, as far as they are long enough."""
    hidden = np.zeros(frames, bool) if motion.confidence is None else motion.confidence[:frames] <= 0
    edges = [-1, *np.flatnonzero(hidden).tolist(), frames]
    return [(a + 1, b) for a, b in zip(edges, edges[1:]) if b - a > _SHORTEST]


def _clip(name: str, motion: Motion, speech: np.ndarray) -> Clip:
    """Of the person; its size is not divided out, and so are the arrays that would be without effect."""
    nothing = np.zeros((len(speech), 0), np.float32)
    return Clip(name, "person", motion, speech, nothing, nothing, TYPICAL_LIP_STD, TYPICAL_HEAD_STD)
