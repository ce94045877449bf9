"""Parts of several recordings, one after the other, as the sound of a video, streamed and at their own quality."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from shared.audio import AudioTrack

# Seconds to either side of a join over which one part passes into the next.
_CROSSFADE = 0.005


@dataclass(frozen=True)
class Part:
    """Part of a recording; where it has nothing (before its beginning, behind its end) there is silence.

    Args:
        path: of the recording.
        start: in seconds of the recording; may be negative.
        seconds: how long it is.
    """

    path: str | os.PathLike
    start: float
    seconds: float


class SplicedSound:
    """What `AudioTrack` is for one file; the parts are read one by one, and nothing is held.

    Attributes:
        rate: sampling rate in Hz, the highest of the recordings.
        channels: the most of the recordings.

    Raises:
        InputError: as `AudioTrack`.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)
        self.rate = self.channels = 0
        for path in dict.fromkeys(part.path for part in self._parts):
            with AudioTrack(path) as track:
                self.rate, self.channels = max(self.rate, track.rate), max(self.channels, track.channels)

    def resampled(self, rate: int, layout: str) -> Iterator[np.ndarray]:
        """Yield float32 blocks [channels, n] of all parts, joined.

        Args:
            rate: sampling rate of the output, Hz.
            layout: "mono" or "stereo".
        """
        edges = np.rint(np.cumsum([0.0, *(part.seconds for part in self._parts)]) * rate).astype(int)
        half = min(round(_CROSSFADE * rate), int(np.diff(edges).min()) // 2)
        share = (np.arange(2 * half, dtype=np.float32) + 0.5) / max(2 * half, 1)
        leaving: np.ndarray | None = None
        for number, part in enumerate(self._parts):
            is_last = number == len(self._parts) - 1
            before, behind = (half if number else 0), (0 if is_last else half)
            start, count = round(part.start * rate) - before, edges[number + 1] - edges[number] + before + behind
            fade, held = 2 * before, 2 * behind
            waiting = np.zeros((1 if layout == "mono" else 2, 0), np.float32)
            for block in _span(part.path, start, count, rate, layout):
                waiting = np.concatenate([waiting, block], 1)
                if fade and waiting.shape[1] >= fade and leaving is not None:
                    waiting[:, :fade] = leaving + share * (waiting[:, :fade] - leaving)
                    fade = 0
                if not fade and waiting.shape[1] > held:
                    yield waiting[:, : waiting.shape[1] - held]
                    waiting = waiting[:, waiting.shape[1] - held :]
            leaving = waiting


def _span(path: str | os.PathLike, start: int, count: int, rate: int, layout: str) -> Iterator[np.ndarray]:
    """Yield blocks that add up to `count` samples from sample `start` of a recording at a rate; silence outside it."""
    channels = 1 if layout == "mono" else 2
    if start < 0:
        silent = min(-start, count)
        yield np.zeros((channels, silent), np.float32)
        start, count = 0, count - silent
    if not count:
        return
    at = 0
    with AudioTrack(path) as track, closing(track.resampled(rate, layout)) as blocks:
        for block in blocks:
            part = block[:, max(0, start - at) : max(0, start + count - at)]
            at += block.shape[1]
            if part.shape[1]:
                yield part
            if at >= start + count:
                return
    missing = start + count - max(at, start)
    yield np.zeros((channels, missing), np.float32)
