"""Training of the ridge regression: closed form, the penalties chosen on development people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.face_model import load_bundled
from shared.face_model.morphable import MorphableModel
from shared.metrics.lips import best_lag_correlation
from shared.motion import Motion
from shared.shards.reader import is_sharded
from stage1_motion.dataset import load_clips
from stage1_motion.models.ridge.model import Ridge, linear_of, with_context
from stage1_motion.motion_space import MotionSpace, normalise_speech
from stage1_motion.speech_events import always_speaking
from stage1_motion.speech_frontend import LogMel
from stage1_motion.training.clips import Clip, learned_and_development, sampling_weights
from stage1_motion.training.sharded_clips import open_clips

_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.5))


class Moments:
    """Weighted sums over frames from which a regression of any penalty is solved: mean x, mean y, x x', x y'."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._sums: list[Tensor] = []
        for clip, weight in zip(clips, sampling_weights(clips)):
            x = with_context(torch.from_numpy(clip.speech)).double()
            y = torch.from_numpy(np.concatenate([np.asarray(clip.expression), np.asarray(clip.pose)], 1)).double()
            each = weight / len(x)
            sums = [each * s for s in (x.sum(0), y.sum(0), x.T @ x, x.T @ y)]
            self._sums = [a + b for a, b in zip(self._sums, sums)] if self._sums else sums

    def solve(self, penalty: float) -> nn.Linear:
        """Minimise E |y - W x - b|^2 + penalty |W|^2: W = E[y x'] (E[x x'] + penalty I)^-1, of x and y less means."""
        mean_x, mean_y, xx, xy = self._sums
        gram = xx - torch.outer(mean_x, mean_x) + penalty * torch.eye(len(mean_x), dtype=torch.float64)
        weight = torch.linalg.solve(gram, xy - torch.outer(mean_x, mean_y)).T
        return linear_of(weight.float(), (mean_y - weight @ mean_x).float())


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: ridge` of `fd2talk train`.

    Args:
        prepared: folder of `fd2talk prepare`, or what `fd2talk shard` made of it.
        output: folder of `best/`, the weights.
    """

    prepared: str = ".cache/prepared"
    output: str


def run(config: Config) -> dict[str, Any]:
    """Fit in closed form, a minute.

    Of the training clips only sums are in memory, where they are in shards, and at most 400 development clips.

    One penalty for the face and one for the head, those with the best figures on development people; the weights are
    then those of all training people.

    Args:
        config: the settings.

    Returns:
        The folder, and the correlation of the lip gap with the filmed one (best lag within two frames, median over
        people) of development people and of those of split `val`.

    Raises:
        InputError: no such folder.
    """
    model, output = load_bundled(), Path(config.output) / "best"
    clips, space = _clips(config.prepared, model, "train")
    learned, development = learned_and_development(clips)
    moments = Moments(learned)
    tried = {penalty: Ridge(space, moments.solve(penalty)) for penalty in _PENALTIES}
    for_face = max(_PENALTIES, key=lambda p: lip_correlation(tried[p], development)[0])
    for_head = min(_PENALTIES, key=lambda p: _pose_error(tried[p], development))
    moments = Moments(clips)
    face, head = moments.solve(for_face), moments.solve(for_head)
    parts = [torch.cat([getattr(face, name)[:-6], getattr(head, name)[-6:]]) for name in ("weight", "bias")]
    ridge = Ridge(space, linear_of(*parts))
    ridge.save(output, penalty_expression=for_face, penalty_pose=for_head)
    held_out, _ = _clips(config.prepared, space, "val")
    r, spread = lip_correlation(ridge, held_out)
    figures = {
        "penalty of expression": for_face,
        "penalty of pose": for_head,
        "r of development people": lip_correlation(tried[for_face], development)[0],
        "r of val people": r,
        "spread over real of val people": spread,
    }
    return {"best": str(output), "validation": figures}


def lip_correlation(ridge: Ridge, clips: Iterable[Clip]) -> tuple[float, float]:
    """Predicted against filmed lip gap: correlation at the best lag within two frames, and ratio of the spreads.

    Means over a person's clips, then medians over people.
    """
    space = ridge.space
    neutral, still = np.zeros(space.model.num_identity, np.float32), np.zeros(space.model.num_expression, np.float32)
    row = space.lip_gap(neutral, np.diag(space.expression_std)) - space.lip_gap(neutral, still)
    people = defaultdict(list)
    for clip in clips:
        predicted, filmed = ridge.predict(clip.speech)[0] @ row, np.asarray(clip.expression) @ row
        r = best_lag_correlation(predicted, filmed)[0]
        people[clip.person].append((r, predicted.std() / filmed.std()))
    r, spread = np.median([np.mean(values, axis=0) for values in people.values()], axis=0)
    return float(r), float(spread)


def _pose_error(ridge: Ridge, clips: list[Clip]) -> float:
    return float(np.mean([np.square(ridge.predict(clip.speech)[1] - clip.pose).mean() for clip in clips]))


def _clips(
    prepared: str, space_or_model: MotionSpace | MorphableModel, split: str
) -> tuple[Sequence[Clip], MotionSpace]:
    """See `load_clips`; those of shards stay there, and their features are computed whenever they are asked for."""
    if not is_sharded(prepared):
        return load_clips(prepared, space_or_model, _speech, split=split)
    model = space_or_model if isinstance(space_or_model, MorphableModel) else space_or_model.model
    clips = open_clips(prepared, model, lambda audio: normalise_speech(*_features(audio)), split)
    return clips, clips.space


def _speech(name: str, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    assert motion.audio is not None  # prepared motions have their sound
    return _features(motion.audio)


def _features(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel energies, and where somebody speaks."""
    features = LogMel()(audio)
    return features, always_speaking(features, audio).speaks
