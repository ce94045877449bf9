"""Where weights and configs come from: bundled with the package, or a folder that the user names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.errors import InputError

_HERE = Path(__file__).parent


def _data_root(name: str) -> Path:
    """assets/ and configs/ lie at the top of a checkout and inside `shared` in an installed wheel."""
    checkout = _HERE.parent / name
    return checkout if checkout.is_dir() else _HERE / name


def bundled(name: str) -> Path:
    """The path of a bundled asset such as ``face_model/model.safetensors``. Raises InputError when it is not there."""
    path = _data_root("assets") / name
    if not path.exists():
        raise InputError(f"the bundled asset {name} is missing; reinstall fd2talk")
    return path


def bundled_config(name: str) -> Path:
    """The path of a bundled config such as ``bundled/expression.yaml``. Raises InputError when it is not there."""
    path = _data_root("configs") / name
    if not path.exists():
        raise InputError(f"there is no bundled config {name}")
    return path


def resolve(name_or_folder: str | Path, part: str) -> Path:
    """The folder of `part`: bundled for the name ``bundled``, else inside the folder given."""
    if str(name_or_folder) == "bundled":
        return bundled(part)
    path = Path(name_or_folder) / part
    if not path.exists():
        raise InputError(f"{name_or_folder}: no weights of {part} there")
    return path


def sha256(path: str | Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
