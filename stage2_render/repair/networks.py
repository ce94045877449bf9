"""The networks of the repair renderer, that of the mouth and that of the eyes, and their files."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from torch import nn

from shared.checkpoint import load_checkpoint, save_checkpoint
from shared.errors import InputError
from stage2_render.repair.int8 import in_int8, works
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.parts import Part

_KIND = "repair network"


class RepairNetworks(nn.Module):
    """Both networks, by part."""

    def __init__(self, mouth: RepairNetwork, eye: RepairNetwork) -> None:
        super().__init__()
        self.mouth, self.eye = mouth, eye

    def __getitem__(self, part: Part) -> RepairNetwork:
        """Return the network of a part."""
        return self.mouth if part.network == "mouth" else self.eye

    @classmethod
    def load(cls, folder: Path, others: Path | None = None) -> RepairNetworks:
        """Read both networks from a folder, or from the other one what it lacks.

        Raises:
            InputError: a file is missing or holds something else.
        """

        def of(name: str) -> RepairNetwork:
            return load_network(folder if others is None or (folder / network_file(name)).is_file() else others, name)

        return cls(of("mouth"), of("eye")).eval()

    @property
    def can_int8(self) -> bool:
        """Whether `in_int8` is possible: the ranges are known, and torch has the operations."""
        return bool(self.mouth.ranges) and works()

    @cached_property
    def in_int8(self) -> RepairNetworks:
        """The same with 8-bit convolutions in the mouth's network; that of the eyes is too small to gain by it."""
        return RepairNetworks(in_int8(self.mouth), self.eye)


def network_file(name: str) -> str:
    """Name of the file of a network, `mouth` or `eye`."""
    return f"{name}.safetensors"


FILES = tuple(network_file(name) for name in ("mouth", "eye"))
"""Files of both networks."""


def save_network(network: RepairNetwork, name: str, folder: Path) -> None:
    """Write a network, fp16."""
    path = folder / network_file(name)
    save_checkpoint(path, _KIND, network.state_dict(), config=asdict(network.config), part=name, ranges=network.ranges)


def load_network(folder: Path, name: str) -> RepairNetwork:
    """Read what `save_network` wrote, frozen.

    Raises:
        InputError: the file is missing, or holds something else or the network of another part.
    """
    path = folder / network_file(name)
    tensors, header = load_checkpoint(path, _KIND)
    if header.get("part") != name:
        raise InputError(f"{path}: this network repairs another part ({header.get('part')})")
    try:
        network = RepairNetwork(RepairConfig(**header["config"]))
        network.ranges = {name: (float(low), float(high)) for name, (low, high) in header.get("ranges", {}).items()}
        network.load_state_dict(tensors)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"{path}: not the weights of a repair network ({reason})") from error
    return network.eval().requires_grad_(False)
