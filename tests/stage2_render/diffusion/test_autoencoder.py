"""Encoder and decoder (FD2Talk eq. 13): initialisation by principal components, and the decoder's inputs."""

import numpy as np
import pytest
import torch
from synthetic import face

from stage2_render.diffusion.autoencoder import FACTOR, Autoencoder, AutoencoderConfig


@pytest.fixture(scope="module")
def pictures():
    """Faces float32 [10, 3, 256, 256] in [-1, 1] under a little grain."""
    random = np.random.default_rng(0)
    faces = np.stack([face(random.integers(100, 230, 3), random.uniform()) for _ in range(10)])
    grainy = faces + random.normal(0, 6, faces.shape)
    return torch.from_numpy(grainy.astype(np.float32)).permute(0, 3, 1, 2).div(127.5).sub(1).contiguous()


def network(**changes):
    torch.manual_seed(0)
    return Autoencoder(AutoencoderConfig(**{"latent_channels": 12, "coarse": 16, "fine": 8, **changes}))


def randomised(autoencoder):
    with torch.no_grad():
        autoencoder.conv_out.weight.normal_(0, 0.1)
    return autoencoder


def test_latents_are_initialised_as_principal_components(pictures):
    autoencoder = network()
    autoencoder.start_from(pictures)
    cells = 256 // FACTOR
    patches = pictures.view(10, 3, cells, FACTOR, cells, FACTOR).permute(0, 2, 4, 1, 3, 5).reshape(-1, 192).double()
    _, singular, components = np.linalg.svd((patches - patches.mean(0)).numpy(), full_matrices=False)
    with torch.no_grad():
        latents = autoencoder.encode(pictures)
    assert latents.shape == (10, 12, cells, cells)
    ours = latents.permute(0, 2, 3, 1).reshape(-1, 12).double().numpy()
    scores = (patches - patches.mean(0)).numpy() @ components[:12].T
    for index in range(12):  # signs are free
        assert abs(np.corrcoef(ours[:, index], scores[:, index])[0, 1]) > 0.99
    np.testing.assert_allclose(ours.std(0), 1, atol=0.01)
    np.testing.assert_allclose(autoencoder.latent_std, singular[:12] / np.sqrt(len(patches) - 1), rtol=0.01)


def test_an_untrained_decoder_reconstructs_from_the_components(pictures):
    few, many = (network(latent_channels=count) for count in (3, 48))
    errors = []
    for autoencoder in (few, many):
        autoencoder.start_from(pictures)
        with torch.no_grad():
            latents = autoencoder.encode(pictures)
            made, _ = autoencoder.decode(torch.zeros_like(latents), latents)
        assert made.shape == pictures.shape
        errors.append((made - pictures).square().mean().item())
    grain = (6 / 127.5) ** 2
    assert errors[1] < 1.2 * grain < errors[0]


def test_the_decoder_takes_reference_and_frame(pictures):
    autoencoder = randomised(network())
    autoencoder.start_from(pictures)
    assert autoencoder.conv_in.in_channels == 2 * 12
    with torch.no_grad():
        latents = autoencoder.encode(pictures[:3])
        made, _ = autoencoder.decode(latents[:1], latents[1:2])
        other_reference, _ = autoencoder.decode(latents[2:], latents[1:2])
        other_frame, _ = autoencoder.decode(latents[:1], latents[2:])
    assert (made - other_reference).abs().max() > 1e-3
    # Twice as far from another frame's picture than from the same frame's with another reference.
    assert (made - other_frame).abs().mean() > 2 * (made - other_reference).abs().mean()


def test_opacity_depends_on_the_warp(pictures):
    autoencoder = randomised(network())
    with torch.no_grad():
        latents = autoencoder.encode(pictures[:2])
        maps = torch.rand(2, 9, 64, 64)
        picture, opacity = autoencoder.decode(latents, latents, pictures[:2], maps)
        other_picture, other_opacity = autoencoder.decode(latents, latents, -pictures[:2], maps)
        without, _ = autoencoder.decode(latents, latents)
    assert picture.shape == (2, 3, 256, 256) and opacity.shape == (2, 1, 256, 256)
    assert 0 <= opacity.min() and opacity.max() <= 1
    assert (opacity - other_opacity).abs().max() > 1e-3 and (picture - other_picture).abs().max() > 1e-3
    assert (picture - without).abs().max() > 1e-3


def test_opacities_are_high_before_training_and_the_encoder_can_be_frozen():
    autoencoder = network()
    latents, warped = torch.randn(1, 12, 4, 4), torch.rand(1, 3, 32, 32)
    picture, opacity = autoencoder.decode(latents, latents, warped, torch.rand(1, 9, 8, 8))
    assert opacity.detach().min() > 0.7
    autoencoder.freeze_encoder()
    (picture + opacity).mean().backward()
    assert autoencoder.patch_embedding.weight.grad is None and autoencoder.conv_out.weight.grad.abs().max() > 0
