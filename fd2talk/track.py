"""Motion from video (face tracking), or the one pose of a photo."""

from __future__ import annotations

import numpy as np

from fd2talk.progress import progress
from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.faces.cuts import CutDetector
from shared.faces.tracker import track_video
from shared.media import FPS, SAMPLE_RATE, read_video, read_video_audio, video_info
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.tracking import Track, motion_from_track


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


def track_file(path: str, *, quiet: bool = False) -> Track:
    """Track the largest face of a video, and read its sound.

    Args:
        path: of the video.
        quiet: whether the length of the video is left out of the progress bar.

    Raises:
        InputError: not a video, or too few frames with a face.
    """
    duration = video_info(path).duration
    total = None if duration is None else round(duration * FPS)
    landmarks, cuts = [], CutDetector()
    with progress(None if quiet else total, "tracking") as bar:
        for points in track_video(read_video(path), cuts):
            landmarks.append(points)
            bar.update()
    audio = track_audio(path, len(landmarks))
    try:
        return Track.from_frames(landmarks, audio, cuts.changes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


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


def video_motion(path: str, model: MorphableModel) -> Motion:
    """Return the motion of the largest face of a video, with its sound, at 25 frames per second.

    Raises:
        InputError: as `track_file`.
    """
    return motion_from_track(model, track_file(path), source=path)
