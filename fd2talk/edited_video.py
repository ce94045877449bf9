"""Parts of the edit of a video: tracking, sound, and frames for the preview."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from scipy.ndimage import binary_opening

from fd2talk.options import FaceChoice
from fd2talk.track import LARGEST, is_upside_down, track_file
from shared.driver import driver_motion
from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS, read_video, sound_delay, video_info
from shared.spliced_sound import Part, SplicedSound
from stage2_render.editing.footage import Footage

# Shorter runs of kept frames keep their picture, but do not get the sound of the video.
_LEAST_RUN = 5


def edited_sound(
    video: str,
    audio: str | None,
    inserts: Sequence[tuple[str, int]],
    *,
    heard: np.ndarray,
    changed: np.ndarray,
    seconds: float,
) -> SplicedSound | None:
    """Compose the sound: that of the video in kept frames, elsewhere the new recording.

    Args:
        video: its file.
        audio: the new recording, with time zero at the first frame of the video; None: that of the video everywhere.
        inserts: files that are inserted, and the number of frames of each, in the order of the edit.
        heard: int [T'], index in the recording or the video of each frame of the edit; -1: inserted.
        changed: bool [T'], frames that are not kept.
        seconds: length of the sound.

    Returns:
        The sound; None if there is none.
    """
    has_audio = video_info(video).has_audio
    if audio is None and not has_audio:
        return None
    kept = binary_opening(~np.asarray(changed, bool) & (heard >= 0), np.ones(_LEAST_RUN))
    inserted = [(path, frame) for path, count in inserts for frame in range(count)]
    places = []
    for frame, own in zip(heard.tolist(), (kept & has_audio).tolist()):
        if frame < 0:
            places.append(inserted.pop(0))
        else:
            places.append((video if own or audio is None else audio, frame))
    parts = []
    # A run has one file and consecutive frames: their difference from the running number is constant.
    for (path, _), run in groupby(enumerate(places), lambda item: (item[1][0], item[1][1] - item[0])):
        frames = [frame for _, (_, frame) in run]
        delay = sound_delay(path) if path == video else 0.0
        parts.append(Part(path, frames[0] / FPS - delay, len(frames) / FPS))
    last = parts[-1]
    rest = seconds - sum(part.seconds for part in parts[:-1])
    parts[-1] = Part(last.path, last.start, max(rest, 1 / FPS))
    return SplicedSound(parts)


def watched(frames: Iterator[np.ndarray], places: Sequence[int], seen: dict[int, np.ndarray]) -> Iterator[np.ndarray]:
    """Pass frames on, and copy those with the numbers `places` to `seen`."""
    for number, frame in enumerate(frames):
        if number in places:
            seen[number] = frame
        yield frame


def video_footage(path: str, model: MorphableModel, face: FaceChoice = LARGEST) -> Footage:
    """Track a face of a video to be edited; corrections of the track are noted, as by `video_motion`.

    Args:
        path: of the video.
        model: the face model.
        face: which face; by default the largest.

    Raises:
        InputError: as `track_file`, or the person is upside down.
    """
    track = track_file(path, face=face)
    if is_upside_down(path, list(track.landmarks)):
        raise InputError(f"{path}: the person is upside down; turn the video first")
    motion, found = driver_motion(model, track, source=path)
    if found:
        warnings.warn(f"{path}: {'; '.join(found)}", stacklevel=2)
    info = video_info(path)
    return Footage(model, partial(read_video, path, exact=True), track, motion, (info.width, info.height))
