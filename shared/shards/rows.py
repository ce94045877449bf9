"""Random access to rows of variable size, such as pictures: their bytes lie in shards, their offsets in arrays.

The arrays (offsets and small facts) are memory-mapped .npy files beside the shards. A JSON description, which is
written last, has the checksums of both.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from shared.errors import InputError
from shared.files import atomic_output
from shared.shards.checksums import checksum_of, checksum_of_all
from shared.shards.format import shard_name
from shared.shards.reader import OpenFiles

Value = TypeVar("Value")

# Effort of the WebP encoder, 0 to 6.
_METHOD = 4


class StoredRows:
    """The bytes of rows in shards. Thread-safe."""

    def __init__(self, files: OpenFiles, folder: Path, group: str, *places: np.ndarray) -> None:
        """Set the locations of the rows.

        Args:
            files: the open files.
            folder: of the shards.
            group: of the shards.
            places: shard number, offset and size in bytes of each row, int [rows] each.
        """
        self._files, self._folder, self._group = files, folder, group
        self._shard, self._at, self._size = places

    def __len__(self) -> int:
        return len(self._at)

    def read(self, row: int, decode: Callable[[bytes], Value]) -> Value:
        """Read a row, and decode it. Raises InputError: it is damaged."""
        path = self._folder / shard_name(self._group, int(self._shard[row]))
        data = self._files.read(path, int(self._at[row]), int(self._size[row]))
        try:
            return decode(data)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise InputError(f"{path}: damaged: row {row} cannot be decoded") from error


def row_numbers(at: Any, count: int) -> np.ndarray:
    """Resolve an index as numpy does: a slice, a boolean mask [count], or row numbers -> int [n]."""
    if isinstance(at, slice):
        return np.arange(*at.indices(count))
    at = np.asarray(at)
    return np.flatnonzero(at) if at.dtype == bool and at.ndim == 1 else at


def encode(image: np.ndarray, quality: int | None) -> bytes:
    """Encode an image uint8 [H, W, 3] as WebP; quality 1 to 100, or None: lossless."""
    file = io.BytesIO()
    settings: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    Image.fromarray(image).save(file, "WEBP", method=_METHOD, **settings)
    return file.getvalue()


def decode(data: bytes) -> np.ndarray:
    """Decode an image of `encode`, uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> list[Path]:
    """Write arrays as NAME.npy, replacing existing files; return the files."""
    paths = []
    for name, values in arrays.items():
        paths.append(folder / f"{name}.npy")
        with atomic_output(paths[-1], overwrite=True) as temporary, open(temporary, "wb") as file:
            np.save(file, values)
    return paths


def save_description(
    path: Path, description: Mapping[str, Any], shards: Iterable[Path], others: Iterable[Path]
) -> None:
    """Write a JSON file with a description and the checksums of files beside it."""
    checksums = {file.name: checksum_of(file) for file in shards}
    checksums |= {file.name: checksum_of_all(file) for file in others}
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps({**description, "checksums": checksums}), encoding="utf-8")
