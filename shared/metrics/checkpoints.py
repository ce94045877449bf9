"""Published checkpoints: tensors under names in PyTorch's own file format."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from shared.errors import InputError
from shared.files import check_input


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """A `.pth` file of named tensors, on the CPU; no code of the file is run.

    Raises InputError: it cannot be read, or holds something else.
    """
    file = check_input(path)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # the reader meets broken bytes with every kind of error
        raise InputError(f"{path}: not a PyTorch file of named tensors") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a PyTorch file of named tensors")
    return state


def load_into(network: nn.Module, state: dict[str, Tensor], path: str | Path, what: str) -> None:
    """Load tensors of exactly the network's names and shapes, counters of batches apart.

    what: a few words for the error, such as "the Inception-v3 of pytorch-fid". Raises InputError: they differ.
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
        raise InputError(f"{path}: not {what} ({unexpected[0]} is none of its tensors)")
