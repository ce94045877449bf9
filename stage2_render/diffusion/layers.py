"""What layers of several networks share."""

from __future__ import annotations

from torch import nn


def zero_initialised(layer: nn.Module) -> nn.Module:
    """Set weight and bias to zero, so that a residual branch adds nothing before training; returns the layer."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
