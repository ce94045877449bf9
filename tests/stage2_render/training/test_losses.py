"""Losses beside literal formulas of FD2Talk eq. 13-15 and of the terms for the warp, pixel by pixel."""

import numpy as np
import pytest
import torch

from stage2_render.training.losses import detail_transfer_loss, reconstruction_loss


def images(seed, channels=3):
    return torch.rand(2, channels, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def phi_distance(one, other):
    """Stands in for the perceptual network: float32 [B] of images in [0, 1]."""
    assert one.min() >= 0 and one.max() <= 1 and one.shape[-1] == 24 - 16
    return (3 * one - 3 * other).abs().mean((1, 2, 3))


def literal(predicted, target, warped, squared):
    """L_rec and L_keep as loops."""
    rec, keep = [], []
    for p, t, w in zip(*(x.flatten().tolist() for x in (predicted, target, warped))):
        rec.append((p - t) ** 2 if squared else abs(p - t))
        keep.append(max(0.0, abs(p - t) - abs(w - t)))
    return np.mean(rec), np.mean(keep)


@pytest.mark.parametrize("squared", [False, True])
def test_equation_15_and_the_warp_term(squared):
    predicted, target, warped = images(0), images(1), images(2)
    torch.manual_seed(5)
    weights = {"squared": squared, "perceptual_weight": 0.7, "keep_weight": 0.3}
    loss, parts = reconstruction_loss(predicted, target, warped, phi_distance, **weights)
    torch.manual_seed(5)
    row, column = torch.randint(16, (2,)).tolist()
    shifted = [x[..., row : row + 8, column : column + 8] for x in (predicted, target)]
    per = 1.5 * (shifted[0] - shifted[1]).abs().mean().item()
    rec, keep = literal(predicted, target, warped, squared)
    assert loss.item() == pytest.approx(rec + 0.7 * per + 0.3 * keep, rel=1e-5)
    assert parts["keep"].item() == pytest.approx(keep, rel=1e-5)
    plain, _ = reconstruction_loss(predicted, target, None, None, squared=squared)
    assert plain.item() == pytest.approx(rec, rel=1e-5)


def test_detail_transfer_blends_and_regularises():
    content, target, warped = images(0), images(1), images(2)
    opacity, mask = ((images(seed, 1) + 1) / 2 for seed in (3, 4))
    given = (content, opacity, target, warped, None)
    loss, _ = detail_transfer_loss(*given, content_weight=0.4, opacity_weight=0.2, mask=mask, keep_weight=0.3)
    blend = (1 - opacity * mask) * warped + opacity * mask * content
    rec, keep = literal(blend, target, warped, False)
    regularisation = 0.4 * literal(content, target, warped, False)[0] + 0.2 * opacity.mean().item()
    assert loss.item() == pytest.approx(rec + 0.3 * keep + regularisation, rel=1e-5)
