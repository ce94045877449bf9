"""The prepared data set: what `fd2talk prepare` writes and every training reads.

FOLDER/index.csv lists the clips, uncut parts of videos: name, file, person, split, start (the part's first frame in its
video), seconds, frames, audio, face_px and the further columns of the videos' manifest.
FOLDER/motions/NAME.npz is the Motion of one, with sound, and FOLDER/tracks/NAME.npz what the tracker saw. portraits.npz
holds still photos: names [P], splits [P], points [P, 478, 3] in pixels, crops [P, 3].
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.files import atomic_output
from shared.media import read_video
from shared.motion import Motion
from shared.tracking import Track


def read_index(prepared: str | Path) -> list[dict[str, str]]:
    """Rows of index.csv of a prepared folder. Raises InputError when there is none."""
    path = Path(prepared) / "index.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise InputError(f"{path}: not found; make it with `fd2talk prepare CLIPS {prepared}`") from None


def clip_frames(clips: str | Path, row: dict[str, str]) -> Iterator[np.ndarray]:
    """Frames uint8 [H, W, 3] of a clip, a row of the index, from the folder of videos that was prepared."""
    start, frames = int(row.get("start") or 0), row.get("frames")
    return islice(read_video(Path(clips) / row["file"]), start, start + int(frames) if frames else None)


def load_motions(prepared: str | Path, rows: list[dict[str, str]], model: MorphableModel) -> dict[str, Motion]:
    """The rows' motions by name. Raises InputError: not there, another face model's."""
    folder = Path(prepared) / "motions"
    return {row["name"]: Motion.load(folder / f"{row['name']}.npz", face_model=model.fingerprint) for row in rows}


def load_track(path: str | Path) -> Track:
    """One file of FOLDER/tracks, without the sound. Raises InputError: no such file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return Track(file["landmarks"], file["confidence"], Crop(*(float(v) for v in file["crop"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a prepared track ({error})") from error


def save_track(path: Path, track: Track, **more: object) -> None:
    """Write landmarks float32 [T, 478, 3] in pixels, confidence [T], crop (centre x, y, side) in pixels and more."""
    crop = np.array([track.crop.center_x, track.crop.center_y, track.crop.side])
    save_arrays(path, landmarks=track.landmarks, confidence=track.confidence, crop=crop, **more)


def save_arrays(path: Path, **arrays: object) -> None:
    """Write an .npz file atomically, replacing what was there."""
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
