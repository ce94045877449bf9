"""Read pickles of arrays from others, without running what they may contain."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError


class _Wrapped:
    """Stand-in for chumpy's classes, which wrap an array as ``x``."""

    def __setstate__(self, state: dict) -> None:
        self.x = state["x"]


_NAMES = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "scipy.sparse": ("csc_matrix", "csr_matrix", "coo_matrix"),
    "copyreg": ("_reconstructor",),
    "copy_reg": ("_reconstructor",),
    "builtins": ("object", "set"),
    "__builtin__": ("object", "set"),
    "collections": ("OrderedDict",),
    "_codecs": ("encode",),
}


class _Reader(pickle.Unpickler):
    """A pickle reader that resolves no functions except those that rebuild arrays."""

    def __init__(self, content: bytes, kind: str) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._kind = kind

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy":
            return _Wrapped
        if module.startswith("scipy.sparse."):  # the module of each class has changed its name over the years
            module = "scipy.sparse"
        if module.startswith("numpy._core"):
            module = module.replace("numpy._core", "numpy.core")  # written by numpy 2, read by numpy 1
        if name not in _NAMES.get(module, ()):
            raise pickle.UnpicklingError(f"it contains {module}.{name}, which is not allowed in {self._kind}")
        return super().find_class(module, name)


def read_pickle(path: str | Path, title: str, kind: str) -> dict:
    """Read a dictionary of numbers, text, arrays, sparse matrices and chumpy's wrappers; nothing else is called.

    Pickles of Python 2 are read, too.

    Args:
        path: the file.
        title: what it should be, for messages: "FLAME model".
        kind: likewise, with an article: "a face model".

    Raises:
        InputError: no such file, or not such a pickle.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        data = _Reader(content, kind).load()
    except Exception as error:  # a damaged pickle fails in any way
        raise InputError(f"{path}: not a {title} ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a {title} (it contains no dictionary)")
    return data


def as_array(value: Any) -> np.ndarray:
    """Return an array, a sparse matrix or what chumpy wrapped, as an array."""
    if isinstance(value, _Wrapped):
        value = value.x
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value)
