"""The repair network with 8-bit convolutions, for processors that multiply 8-bit integers several times as fast.

What enters a convolution is rounded to one of 256 steps of a range that was measured in advance (`observed`), weights
to one of 255 steps for each output channel; products are summed exactly (Jacob et al., "Quantization and training of
neural networks for efficient integer-arithmetic-only inference", 2018, section 2). Pointwise convolutions, attention
and what is laid over the frame stay in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.repair.network import Block, RepairNetwork

Ranges = dict[str, tuple[float, float]]
"""Name of a convolution -> the smallest and the largest value that enters it."""

_STEPS, _WEIGHT_STEPS = 255, 127
# Values of other photos may be larger than those that were measured.
_MARGIN = 1.1
_SILU_LEAST = -0.279  # value of SiLU
# How far the self-test may be from float32, relative: rounding alone makes less than a hundredth.
_TOLERANCE = 0.05


@contextmanager
def observed(network: RepairNetwork) -> Iterator[Ranges]:
    """Measure the ranges of what enters the convolutions while the network runs; they are there at the end."""
    ranges: Ranges = {}

    def note(name: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        low, high = ranges.get(name, (0.0, 0.0))
        ranges[name] = min(low, float(given[0].min())), max(high, float(given[0].max()))

    hooks = [conv.register_forward_pre_hook(partial(note, name)) for name, conv in _convolutions(network).items()]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()


def in_int8(network: RepairNetwork) -> RepairNetwork:
    """Return a copy whose `repair` has 8-bit convolutions.

    Args:
        network: on the CPU, with `ranges`.

    Raises:
        ValueError: its ranges are not those of its convolutions.
    """
    if set(network.ranges) != set(_convolutions(network)):
        raise ValueError("the ranges are not those of this network's convolutions")
    network = copy.deepcopy(network)
    for name, module in _repairing(network):
        if isinstance(module, Block):
            _replace(network, name, _Block(module, network.ranges[f"{name}.conv_1"], network.ranges[f"{name}.conv_2"]))
    for name, module in _repairing(network):
        if isinstance(module, nn.Conv2d):
            _replace(network, name, _Conv(module, network.ranges[name]) if _is_wide(module) else _Pointwise(module))
    return network


@cache
def works() -> bool:
    """Return whether this version of torch has the 8-bit convolutions of oneDNN, and they compute what they should."""
    torch_rng = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(16, 16, 3, padding=1).requires_grad_(False)
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=torch_rng))
    x = torch.randn(2, 16, 12, 20, generator=torch_rng).to(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            found = _Conv(conv, (float(x.min()), float(x.max())))(x)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):  # other versions, other processors
        return False
    expected = conv(x)
    return bool((found - expected).std() < _TOLERANCE * expected.std())


def _is_wide(conv: nn.Conv2d) -> bool:
    return conv.kernel_size != (1, 1)


def _repairing(network: RepairNetwork) -> list[tuple[str, nn.Module]]:
    """The modules of `RepairNetwork.repair`: what sees the photo runs once."""
    return [(name, module) for name, module in network.named_modules() if not name.startswith("photo_encoder")]


def _convolutions(network: RepairNetwork) -> dict[str, nn.Conv2d]:
    found = {name: one for name, one in _repairing(network) if isinstance(one, nn.Conv2d)}
    return {name: conv for name, conv in found.items() if _is_wide(conv)}


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)


class _Rounding:
    """256 steps of a range that contains zero, one of which is zero."""

    def __init__(self, low: float, high: float) -> None:
        self.low, high = _MARGIN * min(low, 0.0), _MARGIN * max(high, 0.0)
        self.scale = max(high - self.low, 1e-6) / _STEPS
        self.zero = round(-self.low / self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        """Round [B, C, h, w] of at least `low`, float32 -> uint8; OpenCV does it in one pass, torch in four."""
        last = x.permute(0, 2, 3, 1).contiguous()
        rows = last.flatten(0, 1).flatten(1).numpy()  # [B h, w C]
        # No value becomes negative: its "abs" has no effect.
        rounded = torch.from_numpy(cv2.convertScaleAbs(rows, None, 1 / self.scale, self.zero))
        return rounded.view(last.shape).permute(0, 3, 1, 2)


class _Convolution:
    """An 8-bit convolution of rounded values [B, C, h, w].

    Args:
        conv: what it computes.
        rounding: of what enters.
        gain: that the output is multiplied by, [C', 1, 1].
        after: rounding of the SiLU of the output; None: the output itself in float32.
    """

    def __init__(
        self, conv: nn.Conv2d, rounding: _Rounding, gain: Tensor | None = None, after: _Rounding | None = None
    ) -> None:
        weight, bias = conv.weight.detach().float(), conv.bias.detach().float()  # type: ignore[union-attr]
        if gain is not None:
            weight, bias = weight * gain.detach()[..., None], bias * gain.detach().flatten()
        scales = (weight.abs().amax((1, 2, 3)) / _WEIGHT_STEPS).clamp_min(1e-12)
        rounded = torch.round(weight / scales[:, None, None, None]).to(torch.int8)
        layout = [list(conv.stride), list(conv.padding), list(conv.dilation), conv.groups]
        packed = _operations().qconv_prepack(rounded, scales, rounding.scale, rounding.zero, *layout, None)
        zeros = torch.zeros(len(scales), dtype=torch.int32)
        self._given: list[Any] = [rounding.scale, rounding.zero, packed, scales, zeros, bias, *layout]
        self._given += [1.0, 0, torch.float32, "none", [], ""]
        if after is not None:
            self._given[-6:] = [after.scale, after.zero, torch.uint8, "swish", [1.0], ""]

    def __call__(self, rounded: Tensor) -> Tensor:
        return _operations().qconv2d_pointwise(rounded, *self._given)


def _operations() -> Any:
    """What torch's compiler calls for quantised networks."""
    return torch.ops.onednn


class _Conv(nn.Module):
    """A convolution [B, C, h, w] -> [B, C', h', w']."""

    def __init__(self, conv: nn.Conv2d, values: tuple[float, float]) -> None:
        super().__init__()
        self.rounded = _Rounding(*values)
        self.convolution = _Convolution(conv, self.rounded)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(self.rounded(x.clamp_min(self.rounded.low)))


class _Pointwise(nn.Module):
    """A pointwise convolution as a product of matrices, which is faster where channels come last."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight.detach()[:, :, 0, 0].contiguous(), conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """`network.Block`; between its convolutions there are 8-bit values alone."""

    def __init__(self, block: Block, values: tuple[float, float], between: tuple[float, float]) -> None:
        super().__init__()
        self.rounded, middle = _Rounding(min(values[0], _SILU_LEAST), values[1]), _Rounding(*between)
        self.conv_1 = _Convolution(block.conv_1, self.rounded, after=middle)
        self.conv_2 = _Convolution(block.conv_2, middle, gain=block.gain)
        self.shortcut = block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(self.conv_1(self.rounded(F.silu(x)))).add_(self.shortcut(x))
