"""Motion from video (face tracking), or the expression and pose of a photo."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from fd2talk.options import FaceChoice
from fd2talk.progress import progress
from shared.driver import driver_motion
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.morphable import MorphableModel
from shared.faces.cuts import CutDetector
from shared.faces.detection import FaceBox
from shared.faces.follow import FaceFollower
from shared.faces.tracker import check_inside, track_video
from shared.media import FPS, SAMPLE_RATE, VideoInfo, read_video, read_video_audio, video_info
from shared.motion import Motion
from shared.photo_fit import PhotoFit, is_poor_fit
from shared.tracking import Track
from shared.upright import quarter_turns

LARGEST = FaceChoice()

# A driver may show no face for most of its time: a title, a picture between two scenes.
_LEAST_SHARE = 0.05
# In so many frames, spread over the video, it is looked which way up the face is.
_LOOKS = 5
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
        driver: whether the track is for another face; the video may then show none for most of its time, and is turned
            if the person is upside down (the points are those of the turned frames, in which faces are counted).
        quiet: whether the length of the video is left out of the progress bar.

    Raises:
        InputError: not a video, too few frames with a face, or no such face.
    """
    info = video_info(path)
    if face.box is not None:
        try:
            check_inside(FaceBox(*face.box), info.width, info.height)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    total = None if quiet or info.duration is None else round(info.duration * FPS)
    follower, cuts, landmarks = _tracked(read_video(path), face, total)
    audio = track_audio(path, len(landmarks))
    if driver and is_upside_down(path, landmarks):
        warnings.warn(f"{path}: the person is upside down: all frames are turned", stacklevel=2)
        if face.box is not None:
            left, top, right, bottom = face.box
            face = replace(face, box=(info.width - right, info.height - bottom, info.width - left, info.height - top))
        turned = (np.ascontiguousarray(frame[::-1, ::-1]) for frame in read_video(path))
        follower, cuts, landmarks = _tracked(turned, face, total)
    if driver:
        landmarks = [None if points is None or _outside(points, info) else points for points in landmarks]
    try:
        if follower:
            follower.check()
        least = _LEAST_SHARE if driver else 0.5
        return Track.from_frames(landmarks, audio, cuts.changes, dissolves=cuts.dissolves, least=least)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _tracked(
    frames: Iterator[np.ndarray], face: FaceChoice, total: int | None
) -> tuple[FaceFollower | None, CutDetector, list[np.ndarray | None]]:
    """What followed the chosen face, where the video may be cut, and the mesh in each frame."""
    cuts = CutDetector()
    follower = FaceFollower(face.index, face.box, cuts) if face else None
    landmarks = []
    with progress(total, "tracking") as bar:
        for points in follower.track(frames) if follower else track_video(frames, cuts):
            landmarks.append(points)
            bar.update()
    return follower, cuts, landmarks


def is_upside_down(path: str, landmarks: list[np.ndarray | None]) -> bool:
    """Whether a video is the wrong way up: most of some of its frames, if what is tracked in them fits poorly."""
    model = load_bundled()
    looks = {round(i) for i in np.linspace(0, len(landmarks) - 1, _LOOKS)}
    poor = sum(points is None or is_poor_fit(points, model) for points in (landmarks[i] for i in looks))
    if 2 * poor <= len(looks):
        return False
    votes = 0
    for number, frame in enumerate(read_video(path)):
        if number in looks:
            with suppress(InputError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                votes += 1 if quarter_turns(PhotoFit.fit(frame, model, tracker="mediapipe")) == 2 else -1
    return votes > 0


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
