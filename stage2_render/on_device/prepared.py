"""Base of the modules that hold on a device what depends on the photo alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class PreparedModule(nn.Module):
    """A module without parameters: everything that it computes with is in its buffers."""

    def keep(self, **arrays: np.ndarray) -> None:
        """Register arrays as buffers of the same type; integers become int64, as indices must be."""
        for name, array in arrays.items():
            values = torch.from_numpy(np.array(array, order="C"))
            self.register_buffer(name, values if values.is_floating_point() else values.long(), persistent=False)


def module_list(modules: Iterable[Module]) -> list[Module]:
    """Return a list whose modules move with the module that it is an attribute of, typed as what it holds."""
    return cast("list[Module]", nn.ModuleList(modules))


def as_planes(image: np.ndarray) -> np.ndarray:
    """Return an image [h, w] or [h, w, C] as float32 [1, C, h, w]."""
    return np.atleast_3d(image).transpose(2, 0, 1)[None].astype(np.float32)


def per_frame(values: Tensor) -> Tensor:
    """Return one value for each frame [B] in a shape that multiplies images [B, C, h, w]."""
    return values[:, None, None, None]
