"""Reading of published checkpoints: named tensors in PyTorch's or safetensors' format."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.errors import InputError
from shared.files import check_input


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a file of named tensors on the CPU, without executing code from it.

    Args:
        path: a ``.safetensors`` file, or a PyTorch file under any other name.

    Raises:
        InputError: the file cannot be read, or contains something else.
    """
    file = check_input(path)
    is_safetensors = file.suffix == ".safetensors"
    try:
        state = load_file(file) if is_safetensors else torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # broken bytes raise every kind of error in the readers
        state = None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a {'safetensors' if is_safetensors else 'PyTorch'} file of named tensors")
    return state


def load_into(network: nn.Module, state: dict[str, Tensor], path: str | Path, what: str) -> None:
    """Load tensors of exactly the network's names and shapes, except counters of batches.

    Args:
        network: the network to load into.
        state: name -> tensor.
        path: the file, for error messages.
        what: the expected content for the error message, such as "the Inception-v3 of pytorch-fid".

    Raises:
        InputError: names or shapes differ.
    """
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError:
        raise InputError(f"{path}: not {what} (tensors of other shapes)") from None
    # Files written before PyTorch 0.4.1 have no such counters, and nothing is computed from them.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"{path}: not {what} ({missing[0]} is missing)")
    if unexpected:
        raise InputError(f"{path}: not {what} ({unexpected[0]} is not one of its tensors)")
