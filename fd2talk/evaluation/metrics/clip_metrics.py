"""One pair of clips becomes numbers: every wanted metric that this pair can give."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from fd2talk.evaluation.inputs.clip_reader import Footage
from fd2talk.evaluation.inputs.pairs import Pair
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.image_metrics import Judges, picture_figures
from fd2talk.evaluation.metrics.lip_judge import LipJudge
from fd2talk.evaluation.metrics.motion_metrics import Sides, motion_figures
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.face_model.morphable import MorphableModel
from shared.media import FPS
from shared.metrics.head import euler_degrees
from shared.metrics.syncnet import syncnet_scores

_STILL_HEIGHT = 256
_RATE_TOLERANCE = 0.05  # frames a second: files round their rates
_OF_MOTION = ("sync_motion", "head", "mesh")


@dataclass
class Measured:
    """values by metric; curves: `aperture`, `aperture_real`; still: RGB real | made at the widest mouth; arrays: what
    is needed once all clips are there (`inception`: features; `vertices`, `angles`: for the diversity of repeats);
    notes: metric -> why this clip has none."""

    frames: int
    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    still: np.ndarray | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def measure(
    pair: Pair, wanted: Collection[str], model: MorphableModel, judges: Judges, tracks: Path, settings: Settings
) -> Measured:
    """Everything wanted of one pair; of a pair without a real clip, what needs none. tracks: folder to keep tracks in.

    Raises InputError: files that cannot be read, lengths, rates or sizes that differ.
    """
    made, real = (
        None
        if item is None
        else Footage(item, model, tracks, tracked=settings.motion == "video", resampled=settings.resampled)
        for item in (pair.made, pair.real)
    )
    if real is not None and not settings.resampled and abs(made.fps - real.fps) > _RATE_TOLERANCE:
        raise InputError(
            f"{made.fps:g} frames per second, the real clip {real.fps:g} (--resample brings both to {FPS})"
        )
    has_video = pair.made.video is not None and (real is None or pair.real.video is not None)
    wanted = {key for key in wanted if has_video or "video" not in CATALOGUE[key].needs}
    speech = made.speech if made.speech is not None or real is None else real.speech
    found = Measured(len(made.motion))

    def of(*families: str) -> set[str]:
        return {key for key in wanted if CATALOGUE[key].family in families}

    if of("image"):
        pictures = picture_figures(made, real, of("image"), judges, resampled=settings.resampled)
        found.values |= pictures.values
        if pictures.features is not None:
            found.arrays["inception"] = pictures.features
    if speech is not None:
        for whole in (True, False):
            keys = {key for key in of("sync_video") if (key == "syncnet_confidence") == whole}
            if keys:
                _add(found, keys, partial(_syncnet, made, speech, judges, settings, whole))
    if of(*_OF_MOTION):
        sides = Sides(made, real, model, settings)
        found.values |= motion_figures(sides, speech, settings.phones.get(pair.name, ()), wanted)
        if sides.has_landmarks:
            found.curves["aperture"] = sides.aperture.round(4).tolist()
            if real is not None:
                found.curves["aperture_real"] = sides.real_aperture.round(4).tolist()
        expert = {key for key in wanted if key.startswith("lip_expert")}
        if expert and speech is not None:
            _add(found, expert, lambda: _lip_expert(sides, speech))
        if "expression_diversity" in wanted or "pose_diversity" in wanted:
            found.arrays |= {"vertices": sides.shown, "angles": euler_degrees(sides.motion.rotation)}
    if has_video:
        found.still = _still(made, real)
    found.values = {key: float(value) for key, value in found.values.items() if key in wanted}
    return found


def _syncnet(made: Footage, speech: np.ndarray, judges: Judges, settings: Settings, whole: bool) -> dict[str, float]:
    """whole: of the whole frames, as Prajwal et al. 2020 score datasets of face crops."""
    given = (judges.syncnet, made.frames(), made.track.landmarks, speech)
    scores = syncnet_scores(*given, max_shift=settings.max_shift, whole_frames=whole)
    if whole:
        return {"syncnet_confidence": scores.confidence}
    return {"lse_c": scores.confidence, "lse_d": scores.distance, "syncnet_offset": scores.offset}


def _lip_expert(sides: Sides, speech: np.ndarray) -> dict[str, float]:
    motion = replace(sides.motion, identity=sides.identity)
    scores = _lip_judge()(motion, speech, sides.settings.max_shift)
    return {
        "lip_expert_confidence": scores.confidence,
        "lip_expert_distance": scores.distance,
        "lip_expert_offset": scores.offset,
        "lip_expert_in_sync": abs(scores.offset) <= 1,
    }


@cache
def _lip_judge() -> LipJudge:
    return LipJudge()


def _add(found: Measured, keys: Collection[str], work: Callable[[], dict[str, float]]) -> None:
    """Add what `work` gives; a clip that is too short or too quiet for it goes without, and says so."""
    try:
        found.values |= work()
    except InputError as error:
        found.notes |= {key: str(error) for key in keys}


def _still(made: Footage, real: Footage | None) -> np.ndarray:
    """Real | made at the frame in which the real (without one: the made) mouth is opened widest."""
    widest = int(lip_aperture((real or made).track.landmarks).argmax())
    pictures = []
    for side in (real, made):
        frame = None if side is None else next((f for i, f in enumerate(side.frames()) if i == widest), None)
        if frame is not None:
            size = (round(frame.shape[1] * _STILL_HEIGHT / frame.shape[0]), _STILL_HEIGHT)
            pictures.append(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)
