"""A speaking style as a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.files import atomic_output

_TEXTS = ("encoder", "source", "terms")


@dataclass
class Style:
    """How somebody speaks (DiffPoseTalk §3.3.1).

    Args:
        vector: float32 [K].
        encoder: fingerprint of the style encoder that made it.
        source: what it was made from: the name of a clip or motion, or what people it is the mean of.
        terms: under which it may be used.
    """

    vector: np.ndarray
    encoder: str
    source: str = ""
    terms: str = ""

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
        except (OSError, zipfile.BadZipFile):
            return False

    @classmethod
    def load(cls, path: str | Path) -> Style:
        """Read what `save` wrote. Raises InputError: no such file, or another kind of file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                style = cls(file["style"].astype(np.float32), **{name: str(file[name]) for name in _TEXTS})
        except (OSError, KeyError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a style file ({' '.join(str(error).split())[:80]})") from None
        if style.vector.ndim != 1 or not np.isfinite(style.vector).all():
            raise InputError(f"{path}: a style is a vector of finite numbers")
        return style
