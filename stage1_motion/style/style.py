"""A speaking style as a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.files import atomic_output


@dataclass
class Style:
    """How somebody speaks (DiffPoseTalk §3.2).

    Args:
        vector: float32 [K].
        model: the name of the motion model whose style encoder made it.
    """

    vector: np.ndarray
    model: str

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an .npz file, atomically; refuses an existing file unless `overwrite`."""
        with atomic_output(path, overwrite) as temporary, open(temporary, "wb") as file:
            np.savez(file, style=np.asarray(self.vector, np.float32), model=np.array(self.model))

    @classmethod
    def load(cls, path: str | Path) -> Style:
        """Read what `save` wrote. Raises InputError: no such file, or another kind of file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                style = cls(file["style"].astype(np.float32), str(file["model"]))
        except (OSError, KeyError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a style file ({' '.join(str(error).split())[:80]})") from None
        if style.vector.ndim != 1 or not np.isfinite(style.vector).all():
            raise InputError(f"{path}: a style is a vector of finite numbers")
        return style
