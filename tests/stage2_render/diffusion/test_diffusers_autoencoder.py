"""Pretrained autoencoders in diffusers' format: equal to the pretrained one before FD2Talk's fine-tuning."""

import json
import sys

import numpy as np
import pytest
import torch

from shared.errors import Fd2TalkError, InputError
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig, PretrainedConfig
from stage2_render.diffusion.render_model import build_autoencoder, load_autoencoder, save_autoencoder

SMALL = {
    "block_out_channels": [8, 8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "latent_channels": 3,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
KINDS = ("VQModel", "AutoencoderKL")


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason="the optional extra `paper` is not installed")


@pytest.fixture(scope="module", params=KINDS)
def pretrained(request, diffusers, tmp_path_factory):
    """A tiny autoencoder of diffusers and the folder it was saved to."""
    torch.manual_seed(0)
    network = getattr(diffusers, request.param)(**SMALL, scaling_factor=0.5).eval()
    if request.param == "VQModel":
        torch.nn.init.normal_(network.quantize.embedding.weight)
    folder = tmp_path_factory.mktemp("pretrained")
    network.save_pretrained(folder / "first_stage")
    return network, folder


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def latents_of(network, pictures):
    encoded = network.encode(pictures)
    return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()


def test_output_equals_the_pretrained_one(pretrained, pictures):
    network, folder = pretrained
    ours = build_autoencoder(PretrainedConfig(str(folder), "first_stage")).eval()
    assert ours.factor == 4 and ours.config.latent_channels == 3
    with torch.no_grad():
        latents = ours.encode(pictures)
        torch.testing.assert_close(latents, latents_of(network, pictures) * 0.5)
        for reference in (latents, torch.randn_like(latents)):
            torch.testing.assert_close(ours.decode(reference, latents), network.decode(latents / 0.5).sample)


def test_the_decoder_learns_to_use_the_reference(pretrained, pictures):
    ours = DiffusersAutoencoder.from_pretrained(str(pretrained[1] / "first_stage"))
    assert ours.network.decoder.conv_in.in_channels == 2 * 3
    reference, latents = ours.encode(pictures), ours.encode(pictures.flip(0))
    loss = (ours.decode(reference, latents) - pictures).square().mean()
    loss.backward()
    grown = ours.network.decoder.conv_in.weight.grad
    assert grown[:, :3].abs().max() > 0 and grown[:, 3:].abs().max() > 0
    assert ours.network.encoder.conv_in.weight.grad.abs().max() > 0
    with torch.no_grad():
        ours.network.decoder.conv_in.weight -= 0.1 * grown
        one, other = (ours.decode(x, latents) for x in (reference, reference.flip(0)))
        assert (one - other).abs().max() > 0


def test_latents_have_unit_variance(pretrained, pictures):
    network, folder = pretrained
    ours = DiffusersAutoencoder.from_pretrained(str(folder / "first_stage"))
    with torch.no_grad():
        before = ours.decode(ours.encode(pictures), ours.encode(pictures))
        ours.start_from(pictures)
        latents = ours.encode(pictures)
        assert latents.std().item() == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(ours.latent_std, latents_of(network, pictures).std(), rtol=1e-4)
        torch.testing.assert_close(ours.decode(latents, latents), before, atol=1e-4, rtol=1e-4)


def test_only_the_encoder_is_frozen(pretrained, pictures):
    ours = DiffusersAutoencoder.from_pretrained(str(pretrained[1] / "first_stage"))
    ours.freeze_encoder()
    assert not ours.encode(pictures).requires_grad
    assert all(parameter.requires_grad for parameter in ours.network.decoder.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_without_the_pretrained_folder(diffusers, kind, tmp_path, pictures):
    torch.manual_seed(0)
    made = build_autoencoder(DiffusersConfig(kind, SMALL)).eval()
    made.start_from(pictures)
    with torch.no_grad():  # a decoder that uses the reference
        made.network.decoder.conv_in.weight.normal_(0, 0.1)
    save_autoencoder(made, tmp_path / "autoencoder.safetensors")
    loaded = load_autoencoder(tmp_path / "autoencoder.safetensors").eval()
    assert loaded.config == made.config and loaded.config.settings.items() >= SMALL.items()
    with torch.no_grad():
        latents = made.encode(pictures)
        torch.testing.assert_close(loaded.encode(pictures), latents, atol=0.02, rtol=0.02)
        if kind == "AutoencoderKL":  # rounding may choose another code
            ours, theirs = (x.decode(latents.flip(0), latents) for x in (made, loaded))
            torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)


def test_folders_of_something_else_are_refused_in_one_line(diffusers, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel", "sample_size": 8}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", **SMALL}))
    for name in ("unet", "empty", "bare"):
        with pytest.raises(InputError) as caught:
            DiffusersAutoencoder.from_pretrained(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_without_diffusers_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(Fd2TalkError, match="fd2talk\\[paper\\]"):
        build_autoencoder(PretrainedConfig("somewhere"))


def test_diffusers_is_not_imported_by_the_renderer():
    import subprocess

    code = "import sys, stage2_render.diffusion.render_model, stage2_render.training.unet; sys.exit('diffusers' in sys.modules)"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
