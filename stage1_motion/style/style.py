"""A speaking style as a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.files import atomic_output
from shared.npz import read_npz

_TEXTS = ("encoder", "source", "terms")
_TOLERANCE = 1e-3  # of the length


@dataclass
class Style:
    """How somebody speaks (DiffPoseTalk §3.3.1).

    Args:
        vector: float32 [K], of unit length.
        encoder: fingerprint of the style encoder that made it.
        source: what it was made from: the name of a clip or motion, or what people it is the mean of.
        terms: under which it may be used.
        name: of a style that belongs to weights.
    """

    vector: np.ndarray
    encoder: str
    source: str = ""
    terms: str = ""
    name: str = ""

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an .npz file, atomically; refuses an existing file unless `overwrite`."""
        with atomic_output(path, overwrite) as temporary, open(temporary, "wb") as file:
            texts = {name: np.array(getattr(self, name)) for name in _TEXTS}
            np.savez(file, style=np.asarray(self.vector, np.float32), **texts)

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether a file is what `save` wrote, and not, for example, a motion."""
        try:
            with zipfile.ZipFile(path) as file:
                return "style.npy" in file.namelist()
        except Exception:  # zipfile raises a dozen kinds on other and damaged files
            return False

    @classmethod
    def load(cls, path: str | Path) -> Style:
        """Read what `save` wrote. Raises InputError: no such file, another kind of file, or no unit vector."""
        data = read_npz(path, "style file", ("style", *_TEXTS))
        vector = data["style"]
        # Not `abs(...) > ...`, which lets nan pass.
        if vector.dtype.kind != "f" or vector.ndim != 1 or not abs(np.linalg.norm(vector) - 1) < _TOLERANCE:
            raise InputError(f"{path}: a style is a vector of finite numbers, of length one")
        return cls(vector.astype(np.float32), **{name: str(data[name]) for name in _TEXTS})
