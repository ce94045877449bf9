"""Locations of weights and configurations: bundled with the package, or in a folder that the user names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.errors import InputError

_HERE = Path(__file__).parent


def _data_root(name: str) -> Path:
    """Folder `assets` or `configs`: at the top of a checkout, inside the package `shared` in an installed wheel."""
    checkout = _HERE.parent / name
    return checkout if checkout.is_dir() else _HERE / name


def bundled(name: str) -> Path:
    """Return the path of a bundled asset.

    Args:
        name: path below `assets`, such as ``face_model/model.safetensors``.

    Raises:
        InputError: the asset is missing.
    """
    path = _data_root("assets") / name
    if not path.exists():
        raise InputError(f"the bundled asset {name} is missing; reinstall fd2talk")
    return path


def bundled_config(name: str) -> Path:
    """Return the path of a bundled configuration.

    Args:
        name: path below `configs`, such as ``train/bundled/stage1_motion/fd2talk/expression.yaml``.

    Raises:
        InputError: there is no such configuration.
    """
    path = _data_root("configs") / name
    if not path.exists():
        raise InputError(f"there is no bundled config {name}")
    return path


def resolve(name_or_folder: str | Path, part: str) -> Path:
    """Return the folder with the weights of one part of the system.

    Args:
        name_or_folder: ``bundled``, or a folder of weights.
        part: subfolder of the part, such as ``renderer``.

    Raises:
        InputError: the folder has no such part.
    """
    if str(name_or_folder) == "bundled":
        return bundled(part)
    path = Path(name_or_folder) / part
    if not path.exists():
        raise InputError(f"{name_or_folder}: the folder has no weights for {part}")
    return path


def sha256(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
