"""Lips, head, eyes and mesh of one clip, and of one clip against another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fd2talk.evaluation.inputs.clip_reader import Footage
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

_STILL = 1e-6  # degrees: a real head that does not turn at all is no measure of another


@dataclass
class Sides:
    """The made motion and the real one (or None), of equal length.

    Raises InputError: frames that differ in number, without `resampled`.
    """

    made: Footage
    real: Footage | None
    model: MorphableModel
    settings: Settings
    length: int = field(init=False)

    def __post_init__(self) -> None:
        frames = [len(side.motion) for side in (self.made, self.real) if side is not None]
        if len(set(frames)) > 1 and not self.settings.resampled:
            raise InputError(f"{frames[0]} frames, the real clip {frames[1]} (--resample measures what both have)")
        self.length = min(frames)

    @cached_property
    def motion(self) -> Motion:
        """The made one."""
        return self.made.motion.slice(0, self.length)

    @cached_property
    def identity(self) -> np.ndarray:
        """[D_id] of the face that moves: the made motion's, else the real one's, else the mean face's."""
        for side in (self.made, self.real):
            if side is not None and side.motion.identity is not None:
                return side.motion.identity
        return np.zeros(self.model.num_identity, np.float32)

    @cached_property
    def shown(self) -> np.ndarray:
        """[T, N, 3] mm: the made face as it is, without head motion."""
        return self.model.vertices(self.identity, self.motion.expression)

    @cached_property
    def target(self) -> np.ndarray:
        """[T, N, 3] mm: the real face."""
        return self.model.vertices(self._real_identity, self.real.motion.expression[: self.length])

    @cached_property
    def compared(self) -> np.ndarray:
        """[T, N, 3] mm: the made face on whose identity the settings say."""
        return self.model.vertices(self._compared_identity, self.motion.expression)

    @property
    def has_landmarks(self) -> bool:
        """Whether the vertices are the tracker's points."""
        return self.model.num_vertices == NUM_VERTICES

    @cached_property
    def aperture(self) -> np.ndarray:
        """[T], of the made face."""
        return lip_aperture(self.shown)

    @cached_property
    def real_aperture(self) -> np.ndarray:
        """[T], of the real one."""
        return lip_aperture(self.target)

    @property
    def neutral(self) -> tuple[np.ndarray, np.ndarray]:
        """[N, 3] each: the faces of `compared` and `target` without expression."""
        rest = np.zeros(self.model.num_expression, np.float32)
        return tuple(self.model.vertices(one, rest) for one in (self._compared_identity, self._real_identity))

    @property
    def _real_identity(self) -> np.ndarray:
        return self.identity if self.real.motion.identity is None else self.real.motion.identity

    @property
    def _compared_identity(self) -> np.ndarray:
        return self._real_identity if self.settings.identity == "real" else self.identity


def motion_figures(
    sides: Sides, speech: np.ndarray | None, phones: Collection[float], wanted: Collection[str]
) -> dict[str, float]:
    """Every metric of the families `sync_motion` (but for the lip expert's), `head` and `mesh` that can be had.

    speech: float32 [n], 16 kHz, or None. phones: seconds of the middles of b, p and m. Apertures and blinks are
    measured on the tracker's points: a face model of another topology has none.
    """
    beats = motion_beats(sides.motion.rotation, FPS)
    figures = {"head_diversity": head_diversity(sides.motion.rotation)}
    if speech is not None and "beat_align_audio" in wanted:
        heard = audio_beats(speech)  # where the sound goes on after the last frame, no head can meet it
        figures["beat_align_audio"] = beat_align(heard[heard < sides.length / FPS], beats, sides.settings.beat_sigma)
    if sides.has_landmarks:
        figures["blink_rate"] = blink_rate(lid_gap(sides.shown), FPS)
        if phones:
            figures["closure_rate"] = closure_rate(sides.aperture, np.array(phones))
    if sides.real is not None:
        figures |= _of_head(sides, beats) | _of_mesh(sides, wanted)
        if sides.has_landmarks:
            correlation, lag = best_lag_correlation(sides.aperture, sides.real_aperture)
            spread, speed = spread_and_speed(sides.aperture, sides.real_aperture)
            figures |= {"aperture_correlation": correlation, "aperture_lag": lag}
            figures |= {"aperture_spread": spread, "aperture_speed": speed}
    return figures


def _of_head(sides: Sides, beats: np.ndarray) -> dict[str, float]:
    real = sides.real.motion.rotation[: sides.length]
    figures = {"beat_align_real": beat_align(motion_beats(real, FPS), beats, sides.settings.beat_sigma)}
    spread = head_diversity(real)
    if spread > _STILL:
        figures["head_spread"] = head_diversity(sides.motion.rotation) / spread
    return figures


def _of_mesh(sides: Sides, wanted: Collection[str]) -> dict[str, float]:
    model, made, real = sides.model, sides.compared, sides.target
    lips = model.groups["lips"]
    dynamics = mesh.dynamics_deviation(made, real, model.groups["upper_face"], *sides.neutral)
    lip_error, face_error = mesh.lip_vertex_error(made, real, lips), mesh.vertex_error(made, real)
    figures = {
        "lve": lip_error,
        "lip_max": lip_error,
        "fdd": abs(dynamics),
        "fdd_signed": dynamics,
        "mod": mesh.mouth_opening_difference(made, real, mesh.inner_lip_pair(model)),
        "l2_lip": mesh.vertex_error(made, real, lips),
        "l2_face": face_error,
        "mve": face_error,
    }
    if "lip_sync" in wanted:
        figures["lip_sync"] = mesh.lip_dtw(made, real, lips)
    return figures
