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
    # Variances are in the proportion of the components' standard deviations, and 1 on average.
    deviations = singular[:12] / np.sqrt(len(patches) - 1)
    np.testing.assert_allclose(ours.var(0), deviations / deviations.mean(), rtol=0.01)


def test_an_untrained_decoder_reconstructs_from_the_components(pictures):
    few, many = (network(latent_channels=count) for count in (3, 48))
    errors = []
    for autoencoder in (few, many):
        autoencoder.start_from(pictures)
        with torch.no_grad():
            latents = autoencoder.encode(pictures)
            made = autoencoder.decode(torch.zeros_like(latents), latents)
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
        made = autoencoder.decode(latents[:1], latents[1:2])
        other_reference = autoencoder.decode(latents[2:], latents[1:2])
        other_frame = autoencoder.decode(latents[:1], latents[2:])
    assert (made - other_reference).abs().max() > 1e-3
    # Twice as far from another frame's picture than from the same frame's with another reference.
    assert (made - other_frame).abs().mean() > 2 * (made - other_reference).abs().mean()


def test_the_encoder_can_be_frozen():
    autoencoder = network()
    latents = torch.randn(1, 12, 4, 4)
    autoencoder.freeze_encoder()
    autoencoder.decode(latents, latents).mean().backward()
    assert autoencoder.patch_embedding.weight.grad is None and autoencoder.conv_out.weight.grad.abs().max() > 0
