"""Which frames the face model is learned from: all of a few hours, and a seeded sample of more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.prepared import read_index, track_of
from shared.shards.clip_arrays import read_track
from shared.shards.reader import Shards, is_sharded, open_shards
from shared.tracking import Track

EVERY = 2
"""One frame of so many is used: neighbouring frames hardly differ."""

MOST_FRAMES = 60_000
"""Frames that are used at most, 80 minutes of video; 3 GB of memory at the peak. All of them if there are no more."""

RUN = 50
"""Used frames of a clip in a sample: four seconds, enough for a blink with open eyes before and after."""

MOST_HELD_OUT = 2000
"""Held-out clips that are measured at most."""

MOST_PORTRAITS = 20_000


@dataclass(frozen=True)
class Tracks:
    """The tracked clips of a prepared folder, or of shards, without the tracks.

    Args:
        person: int [n], who it is.
        frames: int [n], of each clip.
        read: number of a clip -> its track.
    """

    person: np.ndarray
    frames: np.ndarray
    read: Callable[[int], Track]

    @classmethod
    def of(cls, prepared: str | Path, split: str) -> Tracks:
        """Those of a split that a tracker has seen: points that a face model has drawn (`face_px` 0) teach none.

        Of shards only the columns that are needed are in memory.

        Raises:
            InputError: the folder has no index.
        """
        if is_sharded(prepared):
            return cls._of_shards(open_shards(prepared), split)
        rows = [row for row in read_index(prepared) if row["split"] == split and row.get("face_px") != "0"]
        person = np.unique([row["person"] for row in rows], return_inverse=True)[1]
        frames = np.array([int(row.get("frames") or 0) for row in rows], int)
        return cls(person, frames, lambda clip: track_of(prepared, rows[clip]["name"]))

    @classmethod
    def _of_shards(cls, shards: Shards, split: str) -> Tracks:
        if "landmarks" not in shards.parts:
            raise InputError(f"{shards.folder}: the shards have no tracks (`fd2talk shard --no-tracks`)")

        def has(column: str, value: str) -> np.ndarray:
            if column not in shards.columns:
                return np.zeros(len(shards), bool)
            numbers, values = shards.labels(column)
            return numbers == (values.index(value) if value in values else -1)

        rows = np.flatnonzero(has("split", split) & ~has("face_px", "0"))
        frames = shards.lengths("landmarks")[rows]
        return cls(shards.labels("person")[0][rows], frames, lambda clip: read_track(shards, int(rows[clip])))

    def points(self, clip: int, run: int | None = None) -> np.ndarray:
        """Points [T, 478, 3] in crop coordinates of the frames with a face.

        Args:
            clip: its number.
            run: of so many used frames at most, from a place on that the number decides.
        """
        track = self.read(clip)
        seen = track.landmarks[track.confidence > 0]
        if run is not None and len(seen) > EVERY * run:
            start = int(np.random.default_rng(clip).integers(len(seen) - EVERY * run + 1))
            seen = seen[start : start + EVERY * run]
        return track.crop.to_crop(seen)


def chosen(tracks: Tracks, most: int = MOST_FRAMES, seed: int = 0) -> tuple[np.ndarray, int | None]:
    """Choose the clips to learn from.

    Where there are too many frames, runs of single clips are: the first of every person, then the second, and so on,
    people and clips in an order that the seed decides.

    Args:
        tracks: of all clips.
        most: frames that are used at most.
        seed: of the order.

    Returns:
        Numbers of clips, in their order, and how many used frames of each at most; None: all of them.
    """
    used = -(-tracks.frames // EVERY)
    if used.sum() <= most:
        return np.arange(len(used)), None
    order = np.random.default_rng(seed).permutation(len(used))
    by_person = np.argsort(tracks.person[order], kind="stable")
    sizes = np.unique(tracks.person, return_counts=True)[1]
    turn = np.empty(len(used), int)  # of each clip in the order: how many of the same person come before
    turn[by_person] = np.arange(len(used)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    order = order[np.argsort(turn, kind="stable")]
    return np.sort(order[np.cumsum(np.minimum(used[order], RUN)) <= most]), RUN


def evenly(count: int, most: int) -> np.ndarray:
    """Numbers of at most so many of `count` things, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)
