"""Bundled demo recording, and pictures to animate with it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.media import SAMPLE_RATE, read_audio, read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled


def demo_speech(number: str = "0880") -> np.ndarray:
    """Return a demo recording, float32 [n], 16 kHz."""
    return read_audio(bundled(f"demo/sense_and_sensibility_01_austen_64kb-{number}.wav"))


def long_speech(seconds: float) -> np.ndarray:
    """Return all demo recordings, over and over, float32 [seconds * 16000]."""
    recordings = [read_audio(path) for path in sorted(bundled("demo").glob("*.wav"))]
    return np.resize(np.concatenate(recordings), round(seconds * SAMPLE_RATE))


def picture_files(folder: Path, split: str) -> list[str]:
    """Return the names of a folder's pictures: those of a split of its manifest.csv, or all JPEG files."""
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return sorted(path.name for path in folder.glob("*.jpg"))
    with open(manifest, newline="", encoding="utf-8") as file:
        return [row["file"] for row in csv.DictReader(file) if row["split"] == split]


def fit_photos(
    folder: Path, files: Iterable[str], model: MorphableModel, load: Callable[[Path], np.ndarray] = read_image
) -> Iterator[tuple[str, PhotoFit]]:
    """Yield (file, fitted photo); a photo without a usable face is reported and skipped."""
    for file in tqdm(files):
        try:
            yield file, PhotoFit.fit(load(folder / file), model)
        except InputError as error:
            print(f"{file}: {error}")
