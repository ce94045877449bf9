"""A file of weights: safetensors, with what the weights are and how the network is configured as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from shared.errors import InputError
from shared.files import atomic_output

_KEY = "fd2talk"


def save_checkpoint(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], *, half: bool = True, **header: Any
) -> None:
    """Write tensors and header atomically; an existing file is replaced.

    Args:
        path: of the file.
        kind: what the file holds, such as "motion transformer"; `load_checkpoint` checks it.
        tensors: by name.
        half: store as fp16.
        header: JSON values, such as the network's `config`.
    """
    stored = {
        name: (t.half() if half and t.is_floating_point() else t).detach().contiguous().cpu()
        for name, t in tensors.items()
    }
    with atomic_output(path, overwrite=True) as temporary:
        save_file(stored, str(temporary), metadata={_KEY: json.dumps({"kind": kind, **header})})


def read_header(path: str | Path, kind: str) -> dict[str, Any]:
    """The header of a file of that kind. Raises InputError: the file is missing, damaged, or of another kind."""
    try:
        with safe_open(str(path), "pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
        found = header["kind"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it should hold the weights of a {kind}") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the weights of a {kind} ({' '.join(str(error).split())[:80]})") from None
    if found != kind:
        raise InputError(f"{path}: weights of kind {found}, not {kind}")
    return header


@contextmanager
def described_as(path: str | Path, kind: str) -> Iterator[None]:
    """Turn what goes wrong while a network is built from header and tensors into an InputError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not the weights of a {kind} ({' '.join(str(error).split())[:80]})") from None


def load_checkpoint(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors in float32 and the header. Raises InputError: as `read_header`."""
    header = read_header(path, kind)
    with safe_open(str(path), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    return {name: t.float() if torch.is_floating_point(t) else t for name, t in tensors.items()}, header
