"""Offset, confidence and distance of video and sound from their embeddings: SyncNet's arithmetic for any such pair.

Chung & Zisserman, "Out of time: automated lip sync in the wild", ACCV-W 2016, section 4; the figures that talking-head
papers call LSE-D (distance) and LSE-C (confidence) since Prajwal et al., "A lip sync expert is all you need", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import InputError

MAX_SHIFT = 15
"""Shifts to either side in frames: 0.6 s at 25 fps, as in the published scripts."""

_SILENCE = 1e-3  # peak, -60 dB of full scale


@dataclass(frozen=True)
class SyncScores:
    """Synchrony of video and sound in one clip.

    Attributes:
        offset: frames by which the video is late (> 0: the sound precedes the lips); 0 is best. The published code
            prints the same number with the same sign as "AV offset" (its S - index of the minimum); delaying the sound
            makes it smaller.
        confidence: median - minimum of the curve, in units of the embedding (SyncNet's: near 0 for unrelated video and
            sound, 6 to 9 for real speech); higher is better. LSE-C.
        distance: minimum of the curve, same units; lower is better. LSE-D.
        curve: float64 [2S+1], the mean distance if the video were -S .. S frames late; curve[S] is "in time".
    """

    offset: int
    confidence: float
    distance: float
    curve: np.ndarray


def sync_scores(video: np.ndarray, audio: np.ndarray, max_shift: int = MAX_SHIFT) -> SyncScores:
    """Offset, confidence and distance of embeddings whose row i describes the same moment.

        curve(o) = mean over i of |video[i] - audio[i - o]|,  o = -S .. S;   audio outside the clip is the zero vector
        offset = argmin curve,   distance = min curve,   confidence = median curve - min curve

    The embeddings are not normalised (SyncNet's have no unit norm).

    The zero vector beyond the ends follows the published code; the paper does not mention it. Every shift thus has T
    terms, and in a clip of few windows the outer shifts, and with them the median, mostly measure the length of the
    video's embeddings: confidences of clips of very different length are not strictly comparable. The published code
    also continues where T <= max_shift and the outermost shifts are padding alone; here that is refused. (It also adds
    1e-6 to every difference: equal vectors of 1024 numbers are 3e-5 apart there, 0 here.)

    Args:
        video: [T, E], one row per video frame (25 fps), T > max_shift.
        audio: [T, E].
        max_shift: S, frames.

    Raises:
        InputError: too few rows, rows that do not match, or numbers that are not finite.
    """
    by_frame = _distances(video, audio, max_shift)
    curve = by_frame.mean(0)
    best = int(curve.argmin())
    return SyncScores(best - max_shift, float(np.median(curve) - curve[best]), float(curve[best]), curve)


def check_audible(audio: np.ndarray, network: str) -> None:
    """Refuse silence [n] (peak under -60 dB of full scale), which fits every mouth alike: its offset would be random.

    Args:
        audio: [n] in -1..1.
        network: name of the metric network, for the message.

    Raises:
        InputError: the sound is silent or empty.
    """
    if np.abs(audio).max(initial=0) < _SILENCE:
        raise InputError(f"the clip is silent; {network} needs speech")


def _distances(video: np.ndarray, audio: np.ndarray, max_shift: int) -> np.ndarray:
    """float64 [T, 2S+1]: |video[i] - audio[i - o]| for o = -S .. S."""
    video, audio = np.asarray(video, np.float64), np.asarray(audio, np.float64)
    if video.ndim != 2 or video.shape != audio.shape:
        raise InputError(f"the embeddings of video {video.shape} and sound {audio.shape} do not match")
    frames = len(video)
    if frames <= max_shift:
        raise InputError(f"a clip of {frames} windows is too short to try offsets of {max_shift} frames")
    if not (np.isfinite(video).all() and np.isfinite(audio).all()):
        raise InputError("the embeddings of video or sound are not finite")
    padded = np.pad(audio, ((max_shift, max_shift), (0, 0)))
    starts = range(2 * max_shift, -1, -1)  # row i of padded[start:] is audio[i - offset], offset = max_shift - start
    return np.stack([np.linalg.norm(video - padded[start : start + frames], axis=1) for start in starts], 1)
