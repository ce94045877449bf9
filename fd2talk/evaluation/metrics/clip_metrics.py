"""All wanted metrics of one pair of clips."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from fd2talk.evaluation.inputs.clip_reader import ClipReader, choose_frames
from fd2talk.evaluation.inputs.pairs import ClipFiles, Pair
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.image_metrics import image_scores
from fd2talk.evaluation.metrics.lip_expert_metric import LipExpertMetric
from fd2talk.evaluation.metrics.metric import MOTION_FAMILIES
from fd2talk.evaluation.metrics.motion_metrics import OF_LANDMARKS, MotionPair, motion_scores
from fd2talk.evaluation.metrics.networks import MetricNetworks
from fd2talk.evaluation.metrics.still import still
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.head import euler_degrees
from shared.metrics.syncnet import s3fd_track, syncnet_scores
from stage1_motion.lip_expert.network import LipExpert

_RATE_TOLERANCE = 0.05  # frames per second: files round their rates


@dataclass
class ClipScores:
    """What was measured of one pair.

    Args:
        frames: number of frames of the generated motion that were measured.
        fps: their frame rate.
        values: metric -> value.
        curves: `aperture` and `aperture_real`, lip aperture by frame.
        still: uint8 [H, W, 3], see `still`.
        arrays: for metrics over several clips: `inception` (features); `vertices`, `angles`, `aperture` (samples) and
            `aperture_real`.
        notes: metric -> why this clip has no value.
    """

    frames: int
    fps: float
    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    still: np.ndarray | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, keys: Collection[str], compute: Callable[[], dict[str, float]]) -> None:
        """Add computed values; a clip that is too short or too quiet gets a note instead."""
        try:
            self.values |= compute()
        except InputError as error:
            self.notes |= {key: str(error) for key in keys}


def measure_pair(
    pair: Pair,
    wanted: Collection[str],
    model: MorphableModel,
    networks: MetricNetworks,
    tracks: Path,
    settings: Settings,
) -> ClipScores:
    """Compute every wanted metric of a pair; without a reference, those that need none.

    Args:
        pair: the clips.
        wanted: keys of metrics.
        model: the face model.
        networks: the available metric networks.
        tracks: folder in which tracks are cached.
        settings: how the pair is measured.

    Raises:
        InputError: files cannot be read, or lengths, frame rates or sizes differ.
    """

    def reader(files: ClipFiles, numbers: np.ndarray | None = None) -> ClipReader:
        tracked, rates, resampled = settings.motion == "video", (FPS, settings.fps), settings.resampled
        return ClipReader(files, model, tracks, tracked=tracked, rates=rates, resampled=resampled, numbers=numbers)

    assert pair.generated is not None  # the worker has let the system generate it
    numbers = None
    if settings.frames and (source := pair.reference or pair.generated).video:
        numbers = choose_frames(reader(source).track, settings.frames)
    generated = reader(pair.generated, numbers)
    reference = None if pair.reference is None else reader(pair.reference, numbers)
    if reference and not settings.resampled and abs(generated.fps - reference.fps) > _RATE_TOLERANCE:
        raise InputError(
            f"{generated.fps:g} frames per second, the reference {reference.fps:g} (--resample brings both to {FPS})"
        )
    has_images = all(side.files.has_images for side in (generated, reference) if side)
    wanted = {key for key in wanted if has_images or "video" not in CATALOGUE[key].needs}
    speech = generated.speech if generated.speech is not None or reference is None else reference.speech
    found = ClipScores(len(generated.motion), generated.motion.fps)

    def of(*families: str) -> set[str]:
        return {key for key in wanted if CATALOGUE[key].family in families}

    if keys := of("image", "image_by_motion"):
        images = image_scores(generated, reference, keys, networks, resampled=settings.resampled)
        found.values |= images.values
        if images.features is not None:
            found.arrays["inception"] = images.features
    if speech is not None:
        for whole in (True, False):
            keys = {key for key in of("sync_video") if (key == "syncnet_confidence") == whole}
            if keys:
                found.add(keys, partial(_syncnet, generated, speech, networks, settings, whole))
    if of(*MOTION_FAMILIES):
        motions = MotionPair(generated.motion, reference.motion if reference else None, model, settings)
        phones = settings.phones.get(pair.name, ())
        if pair.half:
            motions, speech, phones = _second_half(motions, speech, phones)
        found.frames, found.fps = motions.length, motions.fps
        found.values |= motion_scores(motions, speech, phones, wanted)
        if motions.has_landmarks:
            found.curves["aperture"] = motions.aperture.round(4).tolist()
            if reference:
                found.curves["aperture_real"] = motions.reference_aperture.round(4).tolist()
        else:
            note = f"measured on the tracker's landmarks, which face model {model.name} does not have"
            found.notes |= dict.fromkeys(wanted.intersection(OF_LANDMARKS), note)
        for expert, network in {"lip_expert": None, "unseen_expert": networks.paths.get("unseen_expert")}.items():
            keys = {key for key in wanted if key.startswith(expert)}
            if keys and speech is not None:
                judge = networks.unseen_expert if network else None
                found.add(keys, partial(_lip_expert_scores, motions, speech, expert, judge))
        if "expression_diversity" in wanted:
            found.arrays["vertices"] = motions.vertices
        if "pose_diversity" in wanted:
            found.arrays["angles"] = euler_degrees(motions.generated.rotation)
        if motions.has_landmarks and not wanted.isdisjoint(("aperture_seed_correlation", "aperture_mean_correlation")):
            found.arrays["aperture"] = motions.aperture
            if reference:
                found.arrays["aperture_real"] = motions.reference_aperture
    if has_images:
        found.still = still(generated, reference)
    found.values = {key: float(value) for key, value in found.values.items() if key in wanted}
    return found


def _second_half(
    motions: MotionPair, speech: np.ndarray | None, phones: tuple[float, ...]
) -> tuple[MotionPair, np.ndarray | None, tuple[float, ...]]:
    """Motions, speech and the seconds of phones without the first half of the frames."""
    first, both = motions.length // 2, (motions.generated, motions.reference)
    generated, reference = (m and m.slice(first, motions.length) for m in both)
    assert generated is not None
    start = first / motions.fps
    later = tuple(second - start for second in phones if second >= start)
    heard = None if speech is None else speech[round(start * SAMPLE_RATE) :]
    return MotionPair(generated, reference, motions.model, motions.settings), heard, later


def _syncnet(
    generated: ClipReader, speech: np.ndarray, networks: MetricNetworks, settings: Settings, whole: bool
) -> dict[str, float]:
    """SyncNet scores; whole: of whole frames, as Prajwal et al. 2020 score datasets of face crops."""
    landmarks = generated.track.landmarks
    boxes = s3fd_track(generated.frames(), landmarks) if settings.detector == "s3fd" and not whole else None
    inputs = (networks.syncnet, generated.frames(), landmarks, speech)
    scores = syncnet_scores(*inputs, max_shift=settings.max_shift, whole_frames=whole, boxes=boxes)
    if whole:
        return {"syncnet_confidence": scores.confidence}
    return {"lse_c": scores.confidence, "lse_d": scores.distance, "syncnet_offset": scores.offset}


def _lip_expert_scores(
    motions: MotionPair, speech: np.ndarray, name: str, expert: LipExpert | None
) -> dict[str, float]:
    """Scores whose names begin with `name`; expert: None for the bundled one."""
    motion = replace(motions.generated.resample(FPS), identity=motions.identity)  # the network's rate
    scores = _lip_expert()(motion, speech, motions.settings.max_shift, expert)
    return {
        f"{name}_confidence": scores.confidence,
        f"{name}_distance": scores.distance,
        f"{name}_offset": scores.offset,
        f"{name}_in_sync": abs(scores.offset) <= 1,
    }


@cache
def _lip_expert() -> LipExpertMetric:
    return LipExpertMetric()
