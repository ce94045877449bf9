"""The prepared data set: written by `fd2talk prepare`, read by every training.

FOLDER/index.csv lists the clips, uncut parts of videos: name, file, person, split, start (the part's first frame in its
video), seconds, frames, audio, face_px and the further columns of the videos' manifest.
FOLDER/motions/NAME.npz is the Motion of a clip, with sound, and FOLDER/tracks/NAME.npz its tracked landmarks.
FOLDER/portraits.npz holds still photos: names [P], splits [P], points [P, 478, 3] in pixels, crops [P, 3].

The functions here read a folder that `fd2talk shard` has made of it (`shared.shards`) as well.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.files import atomic_output
from shared.media import read_video
from shared.motion import Motion
from shared.npz import read_npz
from shared.shards.clip_arrays import read_motion, read_track
from shared.shards.reader import is_sharded, open_shards
from shared.tracking import Track


def read_index(prepared: str | Path) -> list[dict[str, str]]:
    """Return the rows of index.csv of a prepared folder.

    Raises:
        InputError: the folder has no index.
    """
    if is_sharded(prepared):
        return open_shards(prepared).rows()
    path = Path(prepared) / "index.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise InputError(f"{path}: not found; create it with `fd2talk prepare CLIPS {prepared}`") from None


def index_digest(prepared: str | Path) -> str:
    """Return the SHA-256 of index.csv, in hexadecimal; shards remember that of the folder they were made of."""
    if is_sharded(prepared):
        return open_shards(prepared).metadata["index_sha256"]
    return hashlib.sha256((Path(prepared) / "index.csv").read_bytes()).hexdigest()


def clip_frames(clips: str | Path, row: dict[str, str]) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, uint8 [H, W, 3].

    Args:
        clips: the folder of videos that was prepared.
        row: the clip's row of the index.
    """
    start, frames = int(row.get("start") or 0), row.get("frames")
    return islice(read_video(Path(clips) / row["file"]), start, start + int(frames) if frames else None)


def load_motions(prepared: str | Path, rows: list[dict[str, str]], model: MorphableModel) -> dict[str, Motion]:
    """Return the motions of rows of the index by clip name.

    Raises:
        InputError: a motion is missing or belongs to another face model.
    """
    return {row["name"]: load_motion(prepared, row["name"], face_model=model.fingerprint) for row in rows}


def load_motion(prepared: str | Path, name: str, *, face_model: str | None = None) -> Motion:
    """Return the motion of a clip.

    Args:
        prepared: the folder.
        name: of the clip.
        face_model: fingerprint of the face model that it must belong to; None accepts any.

    Raises:
        InputError: it is missing or belongs to another face model.
    """
    if not is_sharded(prepared):
        return Motion.load(Path(prepared) / "motions" / f"{name}.npz", face_model=face_model)
    shards = open_shards(prepared)
    motion = read_motion(shards, shards.place(name))
    if face_model not in (None, motion.face_model):
        raise InputError(f"{prepared}: the motions belong to face model {motion.face_model}, not {face_model}")
    return motion


def track_of(prepared: str | Path, name: str) -> Track:
    """Return the tracked points of a clip, without the sound.

    Raises:
        InputError: they are missing or damaged.
    """
    if not is_sharded(prepared):
        return load_track(Path(prepared) / "tracks" / f"{name}.npz")
    shards = open_shards(prepared)
    place = shards.place(name)
    if "landmarks" not in shards.parts or not len(shards.read(place, "crop")):
        raise InputError(f"{prepared}: the shards have no track of {name}")
    return read_track(shards, place)


def load_track(path: str | Path) -> Track:
    """Read one file of FOLDER/tracks, without the sound.

    Raises:
        InputError: the file is missing or damaged.
    """
    file = read_npz(path, "prepared track", ("landmarks", "confidence", "crop"))
    try:
        return Track(file["landmarks"], file["confidence"], Crop(*(float(v) for v in file["crop"])))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not a prepared track ({error})") from error


def load_portraits(prepared: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of portraits.npz of a prepared folder.

    Raises:
        InputError: the folder has no portraits.
    """
    path = Path(prepared) / "portraits.npz"
    if not path.exists():
        raise InputError(f"{path}: not found; create it with `fd2talk prepare CLIPS FOLDER --photos PORTRAITS`")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def save_track(path: Path, track: Track, **more: object) -> None:
    """Write a tracked clip, replacing an existing file.

    Args:
        path: the file to write.
        track: landmarks float32 [T, 478, 3] in pixels, confidence [T] and crop (centre x, y and side, pixels) are
            stored.
        more: further arrays.
    """
    crop = np.array([track.crop.center_x, track.crop.center_y, track.crop.side])
    save_arrays(path, landmarks=track.landmarks, confidence=track.confidence, crop=crop, **more)


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz file atomically, replacing an existing file."""
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
