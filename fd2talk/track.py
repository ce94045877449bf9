"""Motion from video (face tracking), or the expression and pose of a photo."""

from __future__ import annotations

import warnings

import numpy as np

from fd2talk.options import FaceChoice
from fd2talk.progress import progress
from shared.driver import driver_motion
from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.faces.cuts import CutDetector
from shared.faces.follow import FaceFollower
from shared.faces.tracker import track_video
from shared.media import FPS, SAMPLE_RATE, VideoInfo, read_video, read_video_audio, video_info
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.tracking import Track

LARGEST = FaceChoice()

# A driver may show no face for most of its time: a title, a picture between two scenes.
_LEAST_SHARE = 0.05
# Of a face that leaves the picture: the share of its points outside above which there is nothing to track.
_MOSTLY_OUTSIDE = 2 / 3


def photo_motion(photo: PhotoFit, source: str) -> Motion:
    """Return the face of a photo as a motion of one frame."""
    return Motion(
        expression=photo.expression[None],
        rotation=photo.rotation[None],
        translation=photo.translation[None],
        face_model=photo.model.fingerprint,
        identity=photo.identity,
        confidence=np.ones(1, np.float32),
        source=source,
    )


def track_file(path: str, *, face: FaceChoice = LARGEST, driver: bool = False, quiet: bool = False) -> Track:
    """Track a face of a video, and read its sound.

    Args:
        path: of the video.
        face: which face; by default the largest, whoever it is.
        driver: whether the track is for another face, and the video may show none for most of its time.
        quiet: whether the length of the video is left out of the progress bar.

    Raises:
        InputError: not a video, too few frames with a face, or no such face.
    """
    info = video_info(path)
    total = None if info.duration is None else round(info.duration * FPS)
    landmarks, cuts, frames = [], CutDetector(), read_video(path)
    follower = FaceFollower(face.index, face.box, cuts) if face else None
    with progress(None if quiet else total, "tracking") as bar:
        for points in follower.track(frames) if follower else track_video(frames, cuts):
            landmarks.append(points)
            bar.update()
    audio = track_audio(path, len(landmarks))
    if driver:
        landmarks = [None if points is None or _outside(points, info) else points for points in landmarks]
    try:
        if follower:
            follower.check()
        return Track.from_frames(landmarks, audio, cuts.changes, least=_LEAST_SHARE if driver else 0.5)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _outside(points: np.ndarray, info: VideoInfo) -> bool:
    """Whether a face [478, 3] in pixels has mostly left the picture."""
    x, y = points[:468, 0], points[:468, 1]
    return bool(((x < 0) | (x >= info.width) | (y < 0) | (y >= info.height)).mean() > _MOSTLY_OUTSIDE)


def track_audio(path: str, frames: int) -> np.ndarray | None:
    """Return the sound under the first frames of a video.

    Args:
        path: of the video.
        frames: their number.

    Returns:
        float32 [n], mono, 16 kHz; None for a video without sound.

    Raises:
        InputError: as `read_video_audio`.
    """
    return read_video_audio(path)[: frames * SAMPLE_RATE // FPS] if video_info(path).has_audio else None


def video_motion(path: str, model: MorphableModel, face: FaceChoice = LARGEST) -> Motion:
    """Return the motion of a face of a video, with its sound, at 25 frames per second.

    Cuts, zooms, other people and frames without a face are treated as `driver_motion` does, and are said in a note.

    Args:
        path: of the video.
        model: the face model.
        face: which face; by default the largest.

    Raises:
        InputError: as `track_file`.
    """
    motion, found = driver_motion(model, track_file(path, face=face, driver=True), source=path)
    if found:
        warnings.warn(f"{path}: {'; '.join(found)}", stacklevel=2)
    return motion
