"""From videos to Motion: track the mesh, fit the face model, remove the tracker's noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import savgol_filter

from shared.errors import InputError
from shared.face_model.camera import canonical, project
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.cuts import find_cuts
from shared.media import FPS, SAMPLE_RATE
from shared.motion import Motion
from shared.photo_fit import PhotoFit

# Savitzky-Golay windows in frames at 25 fps (second order, so peaks of closing lips keep their height): the head is
# heavy and moves slowly, lips do not.
_POSE_WINDOW, _EXPRESSION_WINDOW = 9, 5
# Root mean square distance of two neutral faces (bones, nose and contour) above which they belong to two people.
_OTHER_PERSON_MM = 1.5


@dataclass
class Track:
    """Tracked landmarks of one clip.

    Attributes:
        landmarks: [T, 478, 3] in pixels, gaps filled.
        confidence: [T], 0 in gaps.
        crop: the fixed head crop.
        audio: float32 [n] at 16 kHz, or None.
        cuts: the frames before which the video was cut; of a dissolve the middle.
        dissolves: first frame of each dissolve, and the first one behind it.
    """

    landmarks: np.ndarray
    confidence: np.ndarray
    crop: Crop
    audio: np.ndarray | None = None
    cuts: tuple[int, ...] = ()
    dissolves: tuple[tuple[int, int], ...] = ()

    @classmethod
    def from_frames(
        cls,
        landmarks: list[np.ndarray | None],
        audio: np.ndarray | None = None,
        changes: np.ndarray | None = None,
        *,
        dissolves: Sequence[tuple[int, int]] = (),
        least: float = 0.5,
    ) -> Track:
        """Fill gaps by linear interpolation and find cuts.

        Args:
            landmarks: per frame [478, 3] in pixels, or None where no face was found.
            audio: float32 [n] at 16 kHz.
            changes: [T - 1], of the `CutDetector` that read the frames; without it a cut is found only where the face
                jumps.
            dissolves: likewise.
            least: the share of the frames that must show a face.

        Raises:
            InputError: too few frames show a face.
        """
        seen = np.array([points is not None for points in landmarks], bool)
        if seen.sum() < max(1, len(seen) * least):
            raise InputError(f"a face was found in only {seen.sum()} of {len(seen)} frames")
        points = _without_gaps(landmarks, seen)
        found = find_cuts(np.zeros(len(points) - 1) if changes is None else changes, points)
        cuts = sorted({*found, *((start + stop) // 2 for start, stop in dissolves)})
        for shot in np.split(np.arange(len(points)), cuts):  # gaps are filled from the same shot alone
            if seen[shot].any() and not seen[shot].all():
                points[shot] = _without_gaps([landmarks[i] for i in shot], seen[shot])
        return cls(
            points.astype(np.float32),
            seen.astype(np.float32),
            Crop.around(points),
            audio,
            tuple(cuts),
            tuple(dissolves),
        )

    def shots(self) -> list[tuple[int, Track]]:
        """Return the parts between cuts, each with its first frame in this track and a head crop of its own."""
        edges = [0, *self.cuts, len(self.landmarks)]
        return [(start, self._part(start, stop)) for start, stop in zip(edges[:-1], edges[1:])]

    def _part(self, start: int, stop: int) -> Track:
        points = self.landmarks[start:stop]
        audio = self.audio
        if audio is not None:
            first, last = (frame * SAMPLE_RATE // FPS for frame in (start, stop))
            audio = audio[first : None if stop == len(self.landmarks) else last]
        return Track(points, self.confidence[start:stop], Crop.around(points), audio)


def _without_gaps(landmarks: list[np.ndarray | None], seen: np.ndarray) -> np.ndarray:
    """Landmarks [T, 478, 3]; frames without a face are interpolated linearly, at the ends repeated."""
    known = np.flatnonzero(seen)
    points = np.stack([landmarks[i] for i in known])
    if not seen.all():
        at = np.interp(np.arange(len(seen)), known, np.arange(len(known)))
        low = np.minimum(at.astype(int), max(len(known) - 2, 0))
        high = np.minimum(low + 1, len(known) - 1)
        points = points[low] + (points[high] - points[low]) * (at - low)[:, None, None]
    return points


def of_one_person(model: MorphableModel, shots: list[Track]) -> np.ndarray:
    """Return for each shot whether it shows the person of most frames, bool [len(shots)].

    Two shots of one person differ in the shape of the neutral face by 0.2 to 1.4 mm, those of two people by 1.3 to 10.
    """
    shapes = np.stack([neutral_bones(model, shot.landmarks[::3]) for shot in shots])
    distance = np.sqrt(np.square(shapes[:, None] - shapes[None]).sum(-1).mean(-1))
    alike = distance < _OTHER_PERSON_MM
    frames = np.array([len(shot.landmarks) for shot in shots])
    return alike[(alike * frames).sum(1).argmax()]


def neutral_bones(model: MorphableModel, landmarks: np.ndarray) -> np.ndarray:
    """Return the bones, nose and contour of a person's neutral face, [n, 3] in mm, from landmarks [T, 478, 3]."""
    identity = fit(model, Crop.around(landmarks).to_crop(landmarks)).identity
    bones = np.concatenate([model.groups[name] for name in ("rigid", "nose", "contour")])
    return model.vertices(identity, np.zeros(model.num_expression, np.float32))[bones]


def motion_from_track(model: MorphableModel, track: Track, *, smooth: bool = True, source: str = "") -> Motion:
    """Fit the face model to a track; `smooth=False` keeps the tracker's jitter."""
    result = fit(model, track.crop.to_crop(track.landmarks))
    rotation, translation, expression = result.rotation, result.translation, result.expression
    if smooth:
        shots = np.split(np.arange(len(expression)), track.cuts)
        rotation = np.concatenate([smoothed_pose(rotation[shot]) for shot in shots])
        translation = np.concatenate([smoothed_pose(translation[shot]) for shot in shots])
        expression = np.concatenate([smoothed_expression(expression[shot]) for shot in shots])
    return Motion(
        expression=expression,
        rotation=rotation,
        translation=translation,
        face_model=model.fingerprint,
        audio=track.audio,
        identity=result.identity,
        confidence=track.confidence,
        source=source,
    )


def smoothed_expression(expression: np.ndarray) -> np.ndarray:
    """Remove the tracker's noise from coefficients [T, D] at 25 fps."""
    return _smoothed(expression, _EXPRESSION_WINDOW)


def smoothed_pose(values: np.ndarray) -> np.ndarray:
    """Remove the tracker's noise from rotations or translations [T, 3] at 25 fps."""
    return _smoothed(values, _POSE_WINDOW)


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
    window = min(window, len(values) - (len(values) + 1) % 2)
    return values if window < 5 else savgol_filter(values, window, 2, axis=0).astype(np.float32)


def photo_of_clip(image: np.ndarray, track: Track, motion: Motion, model: MorphableModel) -> PhotoFit:
    """Return the first frame of a clip as a photo with the clip's coefficients, so that its motion applies unchanged.

    The residual is the difference that places the mesh of frame 0 exactly on the tracked points.

    Args:
        image: the frame, uint8 [H, W, 3].
        track: the clip's track.
        motion: the clip's motion.
        model: the face model of the motion.
    """
    assert motion.identity is not None  # that of the person in the clip
    pose = {"rotation": motion.rotation[0], "translation": motion.translation[0]}
    points, person = track.crop.to_crop(track.landmarks[0]), model.vertices(motion.identity, motion.expression[0])
    depth = (points - project(person, **pose))[model.groups["rigid"], 2].mean()
    of_frame = {"expression": motion.expression[0], "residual": canonical(points, **pose, depth=depth) - person, **pose}
    return PhotoFit(image, track.landmarks[0], track.crop, model, motion.identity, **of_frame)
