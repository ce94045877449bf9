"""Read .npz files that may be of another kind, or damaged anywhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from shared.errors import InputError


def read_npz(path: str | Path, kind: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays of an .npz file, of numbers that are not complex, or of text.

    Args:
        path: the file.
        kind: what it should be, such as "motion file", for messages.
        names: of the arrays to read, which it must have; None for all there are.

    Raises:
        InputError: there is no such file, it is damaged or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if lacking := ", ".join(sorted(set(names or ()) - set(file.files))):
                raise InputError(f"{path}: not a {kind} (it lacks {lacking})")
            data = {name: file[name] for name in (file.files if names is None else names)}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (AttributeError, TypeError):  # a lone array is no archive
        raise InputError(f"{path}: not a {kind} (it holds a single array)") from None
    except Exception as error:  # zipfile, zlib and numpy's parser of headers raise a dozen kinds on damaged bytes
        reason = "it is no .npz archive" if "pickle" in str(error) else " ".join(str(error).split())[:80]
        raise InputError(f"{path}: not a {kind} ({reason})") from None
    for name, value in data.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufU":
            raise InputError(f"{path}: not a {kind} ({name} is no array of numbers or text)")
    return data
