"""Autoencoder and UNet together: sampling as in shared.diffusion, and their files."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.checkpoint import save_checkpoint
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersConfig
from stage2_render.diffusion.render_model import (
    Reference,
    RenderNetworks,
    build_autoencoder,
    load_autoencoder,
    view_of,
)
from stage2_render.diffusion.unet import UNet, UNetConfig

COUNT = 2


def networks(window=(32, 38, 192), positions="pose", **settings):
    torch.manual_seed(0)
    autoencoder = Autoencoder(AutoencoderConfig(4, coarse=8, fine=8, fine_blocks=1))
    sizes = {"channels": (8, 8), "attention": (False, True), "heads": 2, "positions": positions}
    sizes["copies"] = 2 if positions == "pose" else 0
    unet = UNet(UNetConfig(4, window[2] // 8, 10, view_of(window), **sizes))
    made = RenderNetworks(autoencoder, unet, **settings).eval().requires_grad_(False)
    for parameter in made.parameters():  # layers initialised with zeros would hide the others
        parameter.add_(0.05 * torch.randn(parameter.shape))
    return made


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    reference = Reference(
        torch.randn(COUNT, 4, 24, 24, generator=generator),
        0.2 * torch.randn(COUNT, 10, generator=generator),
        torch.randn(COUNT, 4, 97, 97, generator=generator),
    )
    return {
        "reference": reference,
        "coefficients": 0.2 * torch.randn(COUNT, 10, generator=generator),
        "noise": torch.randn(COUNT, 4, 24, 24, generator=generator),
    }


@pytest.mark.parametrize("positions", ["encoding", "pose"])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_frames_are_sampled_from_pure_noise_by_equation_5(inputs, positions, steps):
    """J_{t-1} = sqrt(b) J_0 + sqrt(1 - b) (J_t - sqrt(a) J_0) / sqrt(1 - a), a literal loop."""
    made = networks(positions=positions)
    reference = inputs["reference"]
    motion = inputs["coefficients"], reference.latents, reference.coefficients, reference.patches
    latents, alphas = inputs["noise"], [*made.schedule.alphas_cumprod.tolist(), 1.0]
    timesteps = [round(1000 * (1 - k / steps)) - 1 for k in range(steps)]
    for t, following in zip(timesteps, [*timesteps[1:], -1]):
        clean = made.unet(latents, torch.full((COUNT,), t), *motion)
        noise = (latents - alphas[t] ** 0.5 * clean) / (1 - alphas[t]) ** 0.5
        latents = alphas[following] ** 0.5 * clean + (1 - alphas[following]) ** 0.5 * noise
    images = made.autoencoder.decode(reference.latents, latents)
    torch.testing.assert_close(made.generate(**inputs, steps=steps), images, atol=1e-3, rtol=1e-3)


def test_networks_have_a_default_number_of_steps(inputs):
    made, called = networks(steps=5), []
    made.unet.register_forward_pre_hook(lambda _, x: called.append(int(x[1][0])))
    made.generate(**inputs)
    assert called == made.schedule.timesteps(5) == [999, 799, 599, 399, 199]


def test_a_reference_is_encoded_whole_and_in_patches():
    images, coefficients = torch.rand(COUNT, 3, 192, 192), torch.randn(COUNT, 10)
    made = networks()
    reference = made.encode_reference(images, coefficients)
    torch.testing.assert_close(reference.latents, made.autoencoder.encode(images))
    torch.testing.assert_close(reference.patches, made.autoencoder.encode_patches(images, 2))
    assert reference.coefficients is coefficients
    assert networks(positions="encoding").encode_reference(images, coefficients).patches is None
    one = made.encode_reference(images[:1], coefficients[:1]).repeated(3)
    assert torch.equal(one.latents[2], reference.latents[0]) and one.patches.shape == (3, 4, 97, 97)
    assert torch.equal(one.coefficients[2], coefficients[0])


@pytest.mark.parametrize("window", [(0, 0, 256), (32, 38, 192), (40, 10, 96)])
def test_the_window_is_kept(window):
    assert networks(window).window == window


def test_saved_in_half_precision_and_loaded(tmp_path, inputs):
    made = networks(steps=7)
    made.save(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "unet.safetensors").values()} == {torch.float16}
    loaded = RenderNetworks.load(tmp_path)
    assert (loaded.steps, loaded.window) == (7, made.window)
    assert loaded.unet.config == made.unet.config and loaded.autoencoder.config == made.autoencoder.config
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training
    one, other = (x.generate(**inputs, steps=2) for x in (made, loaded))
    assert 0 < (one - other).abs().max() < 0.05


def test_files_that_hold_something_else_are_refused_in_one_line(tmp_path):
    networks().save(tmp_path)
    with pytest.raises(InputError, match="no such file; it should hold the weights of a render autoencoder"):
        RenderNetworks.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="weights of kind diffusion UNet, not render autoencoder"):
        load_autoencoder(tmp_path / "unet.safetensors")
    tensors = load_file(tmp_path / "autoencoder.safetensors")
    for name, config in (("sizes", {"latent_channels": 8}), ("keys", {"guidance": True}), ("none", None)):
        save_checkpoint(tmp_path / f"{name}.safetensors", "render autoencoder", tensors, config=config)
        with pytest.raises(InputError, match=f"{name}.safetensors: not the weights of Autoencoder") as caught:
            load_autoencoder(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(caught.value)
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors")
    save_file(tensors, tmp_path / "bare.safetensors", metadata={"fd2talk": "not json"})
    for name in ("text", "foreign", "bare"):
        with pytest.raises(InputError) as caught:
            load_autoencoder(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(caught.value) and f"{name}.safetensors" in str(caught.value)


def test_a_config_names_the_autoencoder():
    made = build_autoencoder(AutoencoderConfig(4, coarse=8, fine=8))
    assert isinstance(made, Autoencoder) and made.config.coarse == 8
    with pytest.raises(InputError, match="unknown autoencoder"):
        DiffusersConfig("UNet2DModel")
