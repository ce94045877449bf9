"""Latents of the reference are copied from where the pose says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stage2_render.diffusion.attention import encoded_on_head
from stage2_render.diffusion.autoencoder import FACTOR, Autoencoder, AutoencoderConfig
from stage2_render.diffusion.head_positions import cell_centres
from stage2_render.diffusion.reference_copy import STRIDE, ReferenceCopy
from stage2_render.diffusion.unet import UNetConfig

VIEW, SIDE = (0.0, 0.046875, 0.75), 96  # of 12 x 12 cells
SIZES = {"channels": (8, 16), "attention": (False, True), "heads": 2}


def encoder():
    torch.manual_seed(0)
    return Autoencoder(AutoencoderConfig(6, coarse=8, fine=8, fine_blocks=1))


def copying(planes=3):
    torch.manual_seed(0)
    return ReferenceCopy(8, UNetConfig(6, 12, 10, VIEW, copies=planes, **SIZES))


def image():
    """A smooth image: a quarter of a cell is a small part of its structure."""
    noise = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return F.interpolate(noise, (SIDE, SIDE), mode="bicubic")


def poses(x, y):
    """A head that is x, y pixels of the view further to the right and down than in the reference."""
    pose = torch.zeros(1, 6)
    pose[0, 3:5] = torch.tensor([x, y]) * 2 * VIEW[2] / SIDE
    return pose, torch.zeros(1, 6)


def test_patches_are_the_latents_of_shifted_images():
    autoencoder = encoder()
    with torch.no_grad():
        patches = autoencoder.encode_patches(image(), STRIDE)
        whole = autoencoder.encode(image())
        shifted = autoencoder.encode(image()[..., 6:-2, 2:-6])
    assert patches.shape == (1, 6, SIDE // STRIDE + 1, SIDE // STRIDE + 1)
    half, step = FACTOR // 2 // STRIDE, FACTOR // STRIDE
    torch.testing.assert_close(patches[..., half::step, half::step], whole)
    inner = patches[..., half + 3 :: step, half + 1 :: step][..., :11, :11]
    torch.testing.assert_close(inner, shifted)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (8.0, -16.0), (3.0, 5.0), (-6.5, 2.0)])
@torch.no_grad()
def test_a_moved_head_is_copied_from_where_it_was(x, y):
    """What is copied are the latents of the moved image, by parts of a cell, too."""
    copy, autoencoder = copying(), encoder()
    copy.query.weight.zero_()
    copy.query.bias.fill_(1.0)
    copy.none.fill_(-100.0)
    copy.plane[1:] = -100.0  # only the plane in front
    patches = autoencoder.encode_patches(image(), STRIDE)
    _, copied = copy(torch.randn(1, 8, 12, 12), patches, *poses(x, y))
    rows, columns = (torch.arange(SIDE) - by for by in (y, x))
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None] / (SIDE - 1) * 2 - 1
    moved = F.grid_sample(image(), grid, align_corners=True)
    inner = (..., slice(3, -3), slice(3, -3))
    expected = autoencoder.encode(moved)[inner]
    assert float((copied[inner] - expected).square().mean() / expected.square().mean()) < 0.01


@torch.no_grad()
def test_the_last_plane_does_not_move_and_nothing_can_be_copied():
    copy, autoencoder = copying(), encoder()
    copy.query.weight.zero_()
    copy.query.bias.fill_(1.0)
    copy.none.fill_(-100.0)
    copy.plane[:-1] = -100.0
    patches = autoencoder.encode_patches(image(), STRIDE)
    _, copied = copy(torch.randn(1, 8, 12, 12), patches, *poses(20.0, 0.0))
    whole = autoencoder.encode(image())
    assert float((copied - whole).square().mean() / whole.square().mean()) < 0.01
    copy.none.fill_(100.0)
    assert copy(torch.randn(1, 8, 12, 12), patches, *poses(20.0, 0.0))[1].abs().max() < 1e-6


@torch.no_grad()
def test_queries_choose_planes_by_what_they_show():
    """The attention of one cell, written out."""
    copy = copying(2)
    for parameter in copy.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape))
    x, patches = torch.randn(1, 8, 12, 12), torch.randn(1, 6, 49, 49)
    tokens = []
    copy.key.register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
    pose, reference_pose = poses(5.0, -3.0)
    _, copied = copy(x, patches, pose, reference_pose)
    row, column = 4, 7
    place = encoded_on_head(cell_centres((12, 12), VIEW, x.device), pose, 8)[0, row * 12 + column]
    query = copy.query(copy.norm(x[0, :, row, column] + place)).numpy()
    candidates = tokens[0][0, :, row * 12 + column]
    keys = [(copy.key(one) + copy.plane[k, 0]).numpy() for k, one in enumerate(candidates)] + [copy.none.numpy()]
    scores = np.array([query @ key / np.sqrt(len(key)) for key in keys])
    shares = np.exp(scores) / np.exp(scores).sum()
    expected = shares[0] * candidates[0].numpy() + shares[1] * candidates[1].numpy()
    np.testing.assert_allclose(copied[0, :, row, column], expected, atol=1e-5)
