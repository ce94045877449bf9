"""Conversion between 8-bit images and the networks' tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_tensor(pictures: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """Convert uint8 [B, H, W, 3] to float32 [B, 3, H, W] in [-1, 1]."""
    return torch.tensor(pictures, device=device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pictures(tensor: Tensor) -> np.ndarray:
    """Convert float [B, 3, H, W] in [-1, 1] to uint8 [B, H, W, 3]."""
    scaled = tensor.float().add(1).mul(127.5).round_().clamp_(0, 255).byte()
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
