"""Losses beside literal formulas of FD2Talk eq. 13-15, pixel by pixel."""

import numpy as np
import pytest
import torch

from stage2_render.training.losses import reconstruction_loss


def images(seed, channels=3):
    return torch.rand(2, channels, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def phi_distance(one, other):
    """Stands in for the perceptual network: float32 [B] of images in [0, 1]."""
    assert one.min() >= 0 and one.max() <= 1 and one.shape[-1] == 24 - 16
    return (3 * one - 3 * other).abs().mean((1, 2, 3))


@pytest.mark.parametrize("squared", [False, True])
def test_equation_15(squared):
    predicted, target = images(0), images(1)
    torch.manual_seed(5)
    loss, parts = reconstruction_loss(predicted, target, phi_distance, squared=squared, perceptual_weight=0.7)
    torch.manual_seed(5)
    row, column = torch.randint(16, (2,)).tolist()
    shifted = [x[..., row : row + 8, column : column + 8] for x in (predicted, target)]
    per = 1.5 * (shifted[0] - shifted[1]).abs().mean().item()
    errors = [p - t for p, t in zip(predicted.flatten().tolist(), target.flatten().tolist())]
    rec = np.mean([error**2 if squared else abs(error) for error in errors])
    assert loss.item() == pytest.approx(rec + 0.7 * per, rel=1e-5)
    assert parts["perceptual"].item() == pytest.approx(per, rel=1e-5)
    plain, _ = reconstruction_loss(predicted, target, None, squared=squared)
    assert plain.item() == pytest.approx(rec, rel=1e-5)
