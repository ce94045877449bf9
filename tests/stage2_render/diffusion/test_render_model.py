"""Autoencoder and UNet together: sampling as in shared.diffusion, and their files."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.checkpoint import save_checkpoint
from shared.diffusion.sampling import sample
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersConfig
from stage2_render.diffusion.render_model import RenderNetworks, build_autoencoder, load_autoencoder, smoothed
from stage2_render.diffusion.unet import UNet, UNetConfig

COUNT = 2


def networks(geometry_conditioning=True, **settings):
    torch.manual_seed(0)
    autoencoder = Autoencoder(AutoencoderConfig(4, coarse=8, fine=8, fine_blocks=1))
    sizes = {"channels": (8, 8), "attention": (False, True), "heads": 2}
    unet = UNet(UNetConfig(4, 32, 10, **sizes, geometry_conditioning=geometry_conditioning))
    made = RenderNetworks(autoencoder, unet, **settings).eval().requires_grad_(False)
    for parameter in made.parameters():  # layers initialised with zeros would hide the others
        parameter.add_(0.05 * torch.randn(parameter.shape))
    return made


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    return {
        "warped": torch.rand(COUNT, 3, 256, 256, generator=generator) * 2 - 1,
        "reference": torch.randn(COUNT, 4, 32, 32, generator=generator),
        "maps": torch.rand(COUNT, 9, 64, 64, generator=generator),
        "coefficients": torch.randn(COUNT, 10, generator=generator),
        "noise": torch.randn(COUNT, 4, 32, 32, generator=generator),
    }


@pytest.mark.parametrize("geometry_conditioning", [True, False])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_without_the_warp_sampling_is_the_papers(inputs, geometry_conditioning, steps):
    made = networks(geometry_conditioning)
    dropped = torch.ones(COUNT, dtype=torch.bool)
    nothing = torch.zeros_like(inputs["noise"])

    def predict(x, t):
        return made.unet(x, t, inputs["coefficients"], inputs["reference"], nothing, inputs["maps"], dropped)

    latents = sample(predict, inputs["noise"], made.schedule, steps)
    content, _ = made.autoencoder.decode(inputs["reference"], latents)
    repair = made.repair(**inputs, steps=steps, geometry=False, detail=False)
    torch.testing.assert_close(repair.content, smoothed(content))
    assert torch.equal(repair.opacity, torch.ones(COUNT, 1, 256, 256))


def test_with_the_warp_sampling_starts_from_its_noisy_latent(inputs):
    made = networks(start=0.4)
    assert made.first_timestep == 399
    shown = made.autoencoder.encode(inputs["warped"])
    now = torch.full((COUNT,), 399)
    noisy = made.schedule.add_noise(shown, inputs["noise"], now)
    latents = made.unet(noisy, now, inputs["coefficients"], inputs["reference"], shown, inputs["maps"])
    content, opacity = made.autoencoder.decode(inputs["reference"], latents, inputs["warped"], inputs["maps"])
    repair = made.repair(**inputs, steps=1)
    torch.testing.assert_close(repair.content, smoothed(content))
    torch.testing.assert_close(repair.opacity, opacity)


def test_every_step_is_at_a_lower_timestep_than_the_last(inputs):
    made, called = networks(start=0.5), []
    made.unet.register_forward_pre_hook(lambda _, x: called.append(int(x[1][0])))
    made.repair(**inputs, steps=4)
    assert called == [499, 374, 249, 124]
    called.clear()
    made.repair(**inputs, steps=4, geometry=False)
    assert called == [999, 749, 499, 249] == made.schedule.timesteps(4)


def test_networks_have_a_default_number_of_steps(inputs):
    made, called = networks(geometry_conditioning=False, steps=5), []
    made.unet.register_forward_pre_hook(lambda _, x: called.append(int(x[1][0])))
    made.repair(**inputs)
    assert called == made.schedule.timesteps(5)


@pytest.mark.parametrize("settings", [{}, {"start": 0.3, "steps": 50, "framing": "head"}])
def test_saved_in_half_precision_and_loaded(tmp_path, inputs, settings):
    made = networks(**settings)
    made.save(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "unet.safetensors").values()} == {torch.float16}
    loaded = RenderNetworks.load(tmp_path)
    assert (loaded.start, loaded.steps, loaded.framing) == (made.start, made.steps, made.framing)
    assert loaded.unet.config == made.unet.config and loaded.autoencoder.config == made.autoencoder.config
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training
    one, other = (x.repair(**inputs, steps=2).content for x in (made, loaded))
    assert 0 < (one - other).abs().max() < 0.05


def test_files_that_hold_something_else_are_refused_in_one_line(tmp_path):
    networks().save(tmp_path)
    with pytest.raises(InputError, match="no such file; it should hold the weights of a render autoencoder"):
        RenderNetworks.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="weights of kind render UNet, not render autoencoder"):
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
