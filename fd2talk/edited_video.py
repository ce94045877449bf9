"""The edit of a video: its sound, and pictures of it for the preview."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from scipy.ndimage import binary_opening

from shared.media import FPS, sound_delay, video_info
from shared.spliced_sound import Part, SplicedSound

# Runs of kept frames that are shorter do not get the sound of the video: single ones are kept for their looks.
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
    """Return what is heard: the video where its frames are kept, elsewhere the new recording.

    Args:
        video: its file.
        audio: the new recording, with time zero at the first frame of the video; None: that of the video everywhere.
        inserts: files that are inserted, and the number of frames of each, in the order of the edit.
        heard: int [T'], the frame of the recording, or of the video, that each frame of the edit is; -1: inserted.
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
    # In a run the file is one and its frames follow each other: their difference from the running number is constant.
    for (path, _), run in groupby(enumerate(places), lambda item: (item[1][0], item[1][1] - item[0])):
        frames = [frame for _, (_, frame) in run]
        delay = sound_delay(path) if path == video else 0.0
        parts.append(Part(path, frames[0] / FPS - delay, len(frames) / FPS))
    last = parts[-1]
    rest = seconds - sum(part.seconds for part in parts[:-1])
    parts[-1] = Part(last.path, last.start, max(rest, 1 / FPS))
    return SplicedSound(parts)


def watched(frames: Iterator[np.ndarray], places: Sequence[int], seen: dict[int, np.ndarray]) -> Iterator[np.ndarray]:
    """Pass frames on, and put those with the numbers `places` into `seen`."""
    for number, frame in enumerate(frames):
        if number in places:
            seen[number] = frame
        yield frame
