"""Lip, head, eye and mesh metrics of one motion, and of one motion against another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model.measures import lid_gap, lip_aperture
from shared.face_model.mediapipe_mesh import NUM_VERTICES
from shared.face_model.morphable import MorphableModel
from shared.media import FPS
from shared.metrics import mesh
from shared.metrics.beats import audio_beats, beat_align
from shared.metrics.head import blink_rate, head_diversity, motion_beats
from shared.metrics.lips import best_lag_correlation, closure_rate, spread_and_speed
from shared.motion import Motion

OF_LANDMARKS = (
    "aperture_correlation", "aperture_lag", "aperture_spread", "aperture_speed", "aperture_mean_correlation",
    "aperture_seed_correlation", "closure_rate", "blink_rate",
)  # fmt: skip
"""Metrics of the tracker's landmarks, which a face model of another topology does not have."""

_GROWTH = 0.4  # seconds
_STILL = 1e-6  # degrees: the spread of a reference head that does not turn at all is no denominator


@dataclass
class MotionPair:
    """A generated motion and its reference (or None), cut to the same length, at the frame rate of both.

    Args:
        generated: the generated motion.
        reference: the reference motion, or None.
        model: the face model of both.
        settings: how they are compared.

    Raises:
        InputError: frame rates or numbers of frames differ, and the settings are not `resampled`.
    """

    generated: Motion
    reference: Motion | None
    model: MorphableModel
    settings: Settings
    length: int = field(init=False)

    def __post_init__(self) -> None:
        if self.reference is not None and self.reference.fps != self.generated.fps:
            if not self.settings.resampled:
                raise InputError(
                    f"a motion of {self.generated.fps:g} frames per second, the reference's {self.reference.fps:g} "
                    f"(--resample brings both to {FPS})"
                )
            self.generated, self.reference = self.generated.resample(FPS), self.reference.resample(FPS)
        frames = [len(motion) for motion in (self.generated, self.reference) if motion is not None]
        if len(set(frames)) > 1 and not self.settings.resampled:
            raise InputError(
                f"{frames[0]} frames, the reference {frames[1]} (--resample measures those that both have)"
            )
        self.length = min(frames)
        self.generated = self.generated.slice(0, self.length)
        if self.reference is not None:
            self.reference = self.reference.slice(0, self.length)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.generated.fps

    @cached_property
    def identity(self) -> np.ndarray:
        """[D_id], the generated motion's, else the reference's, else the mean face's."""
        for motion in (self.generated, self.reference):
            if motion is not None and motion.identity is not None:
                return motion.identity
        return np.zeros(self.model.num_identity, np.float32)

    @cached_property
    def vertices(self) -> np.ndarray:
        """[T, N, 3] mm: the generated face with its own identity, without head motion."""
        return self.model.vertices(self.identity, self.generated.expression)

    @cached_property
    def reference_vertices(self) -> np.ndarray:
        """[T, N, 3] mm: the reference face, without head motion."""
        assert self.reference is not None  # asked for only of pairs that have one
        return self.model.vertices(self._reference_identity, self.reference.expression)

    @cached_property
    def compared_vertices(self) -> np.ndarray:
        """[T, N, 3] mm: the generated face with the identity that the settings choose."""
        return self.model.vertices(self._compared_identity, self.generated.expression)

    @property
    def has_landmarks(self) -> bool:
        """Whether the vertices are the tracker's landmarks."""
        return self.model.num_vertices == NUM_VERTICES

    @cached_property
    def aperture(self) -> np.ndarray:
        """[T], lip aperture of the generated face."""
        return lip_aperture(self.vertices)

    @cached_property
    def reference_aperture(self) -> np.ndarray:
        """[T], lip aperture of the reference face."""
        return lip_aperture(self.reference_vertices)

    @property
    def neutral(self) -> tuple[np.ndarray, np.ndarray]:
        """[N, 3] each: the faces of `compared_vertices` and `reference_vertices` without expression."""
        rest = np.zeros(self.model.num_expression, np.float32)
        return self.model.vertices(self._compared_identity, rest), self.model.vertices(self._reference_identity, rest)

    @property
    def _reference_identity(self) -> np.ndarray:
        own = None if self.reference is None else self.reference.identity
        return self.identity if own is None else own

    @property
    def _compared_identity(self) -> np.ndarray:
        return self._reference_identity if self.settings.identity == "real" else self.identity


def motion_scores(
    pair: MotionPair, speech: np.ndarray | None, phones: Collection[float], wanted: Collection[str]
) -> dict[str, float]:
    """Compute the metrics of the families `sync_motion` (except the lip expert's), `head` and `mesh`.

    Apertures and blinks are measured on the tracker's landmarks: a face model of another topology has none.

    Args:
        pair: the motions.
        speech: float32 [n], 16 kHz, or None.
        phones: seconds of the midpoints of b, p and m.
        wanted: keys of metrics; expensive ones are computed only if wanted.

    Returns:
        Metric -> value, of every metric that the pair allows.
    """
    rotation = pair.generated.rotation
    beats = motion_beats(rotation, pair.fps)
    scores = {"head_diversity": head_diversity(rotation)}
    later = round(_GROWTH * pair.fps)
    if pair.length > later:  # the logarithm of the scale
        first, last = pair.generated.translation[[0, later], 2]
        scores["head_growth"] = 100 * float(np.expm1(last - first))
    if speech is not None and "beat_align_audio" in wanted:
        onsets = audio_beats(speech)
        onsets = onsets[onsets < pair.length / pair.fps]  # speech may last longer than the frames
        scores["beat_align_audio"] = beat_align(onsets, beats, pair.settings.beat_sigma)
    if pair.has_landmarks:
        scores["blink_rate"] = blink_rate(lid_gap(pair.vertices), pair.fps)
        if phones:
            scores["closure_rate"] = closure_rate(pair.aperture, np.array(phones), pair.fps)
    if pair.reference is not None:
        scores |= _head_scores(pair, pair.reference.rotation, beats)
        if any(CATALOGUE[key].family == "mesh" for key in wanted if key in CATALOGUE):
            scores |= _mesh_scores(pair, wanted)
        if pair.has_landmarks:
            curves = pair.aperture, pair.reference_aperture
            scores["aperture_correlation"], scores["aperture_lag"] = best_lag_correlation(*curves)
            scores["aperture_spread"], scores["aperture_speed"] = spread_and_speed(*curves)
    return scores


def _head_scores(pair: MotionPair, rotation: np.ndarray, beats: np.ndarray) -> dict[str, float]:
    """Of the generated head against the reference's rotation [T, 3]; beats: the generated motion's."""
    scores = {"beat_align_real": beat_align(motion_beats(rotation, pair.fps), beats, pair.settings.beat_sigma)}
    spread = head_diversity(rotation)
    if spread > _STILL:
        scores["head_spread"] = head_diversity(pair.generated.rotation) / spread
    return scores


def _mesh_scores(pair: MotionPair, wanted: Collection[str]) -> dict[str, float]:
    model, generated, reference = pair.model, pair.compared_vertices, pair.reference_vertices
    lips = model.groups["lips"]
    upper = generated, reference, model.groups["upper_face"], *pair.neutral
    dynamics = mesh.dynamics_deviation(*upper)
    lip_error, face_error = mesh.lip_vertex_error(generated, reference, lips), mesh.vertex_error(generated, reference)
    scores = {
        "lve": lip_error,
        "lip_max": lip_error,
        "fdd": abs(dynamics),
        "fdd_signed": dynamics,
        "lve_codetalker": mesh.lip_vertex_error(generated, reference, lips, squared=True),
        "fdd_codetalker": mesh.dynamics_deviation(*upper, squared=True),
        "l2_lip": mesh.vertex_error(generated, reference, lips),
        "l2_face": face_error,
        "mve": face_error,
    }
    if "mod" in wanted:
        scores["mod"] = mesh.mouth_opening_difference(generated, reference, mesh.inner_lip_pair(model))
    if "lip_sync" in wanted:
        scores["lip_sync"] = mesh.lip_dtw(generated, reference, lips)
    return scores
