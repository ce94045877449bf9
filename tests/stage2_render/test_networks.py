"""Both networks together: sampling as in shared.diffusion, and their files."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.diffusion.sampling import sample
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.render_model import (
    RenderNetworks,
    build_autoencoder,
    load_autoencoder,
    load_network,
    smoothed,
)
from stage2_render.diffusion.unet import UNet, UNetConfig

COUNT = 2


def networks(guidance=True, **settings):
    torch.manual_seed(0)
    autoencoder = Autoencoder(AutoencoderConfig(4, coarse=8, fine=8, fine_blocks=1))
    unet = UNet(UNetConfig(4, 32, 10, channels=(8, 8), attention=(False, True), heads=2, guidance=guidance))
    made = RenderNetworks(autoencoder, unet, **settings).eval().requires_grad_(False)
    for parameter in made.parameters():  # layers that begin at zero would hide what the others do
        parameter.add_(0.05 * torch.randn(parameter.shape))
    return made


@pytest.fixture(scope="module")
def given():
    generator = torch.Generator().manual_seed(1)
    return {
        "warped": torch.rand(COUNT, 3, 256, 256, generator=generator) * 2 - 1,
        "reference": torch.randn(COUNT, 4, 32, 32, generator=generator),
        "maps": torch.rand(COUNT, 9, 64, 64, generator=generator),
        "coefficients": torch.randn(COUNT, 10, generator=generator),
        "noise": torch.randn(COUNT, 4, 32, 32, generator=generator),
    }


@pytest.mark.parametrize("guidance", [True, False])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_without_the_warp_sampling_is_the_papers(given, guidance, steps):
    made = networks(guidance)
    unguided = torch.zeros(COUNT, dtype=torch.bool)
    nothing = torch.zeros_like(given["noise"])

    def predict(x, t):
        return made.unet(x, t, given["coefficients"], given["reference"], nothing, given["maps"], unguided)

    latents = sample(predict, given["noise"], made.schedule, steps)
    content, _ = made.autoencoder.decode(given["reference"], latents)
    repair = made.repair(**given, steps=steps, geometry=False, detail=False)
    torch.testing.assert_close(repair.content, smoothed(content))
    assert torch.equal(repair.opacity, torch.ones(COUNT, 1, 256, 256))


def test_with_the_warp_sampling_starts_from_its_noisy_latent(given):
    made = networks(start=0.4)
    assert made.first_timestep == 399
    shown = made.autoencoder.encode(given["warped"])
    now = torch.full((COUNT,), 399)
    noisy = made.schedule.add_noise(shown, given["noise"], now)
    latents = made.unet(noisy, now, given["coefficients"], given["reference"], shown, given["maps"])
    content, opacity = made.autoencoder.decode(given["reference"], latents, given["warped"], given["maps"])
    repair = made.repair(**given, steps=1)
    torch.testing.assert_close(repair.content, smoothed(content))
    torch.testing.assert_close(repair.opacity, opacity)


def test_every_step_is_at_a_lower_timestep_than_the_last(given):
    made, seen = networks(start=0.5), []
    made.unet.register_forward_pre_hook(lambda _, x: seen.append(int(x[1][0])))
    made.repair(**given, steps=4)
    assert seen == [499, 374, 249, 124]
    seen.clear()
    made.repair(**given, steps=4, geometry=False)
    assert seen == [999, 749, 499, 249] == made.schedule.timesteps(4)


def test_networks_know_in_how_many_steps_they_sample(given):
    made, seen = networks(guidance=False, steps=5), []
    made.unet.register_forward_pre_hook(lambda _, x: seen.append(int(x[1][0])))
    made.repair(**given)
    assert seen == made.schedule.timesteps(5)


@pytest.mark.parametrize("settings", [{}, {"start": 0.3, "steps": 50, "framing": "head"}])
def test_saved_in_half_precision_and_loaded(tmp_path, given, settings):
    made = networks(**settings)
    made.save(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "unet.safetensors").values()} == {torch.float16}
    loaded = RenderNetworks.load(tmp_path)
    assert (loaded.start, loaded.steps, loaded.framing) == (made.start, made.steps, made.framing)
    assert loaded.unet.config == made.unet.config and loaded.autoencoder.config == made.autoencoder.config
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training
    one, other = (x.repair(**given, steps=2).content for x in (made, loaded))
    assert 0 < (one - other).abs().max() < 0.05


def test_files_that_hold_something_else_are_refused_in_one_line(tmp_path):
    networks().save(tmp_path)
    with pytest.raises(InputError, match="not"):
        RenderNetworks.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not the weights of UNet"):
        load_network(tmp_path / "autoencoder.safetensors", UNet, UNetConfig)
    with pytest.raises(InputError, match="not the weights of Autoencoder"):
        load_autoencoder(tmp_path / "unet.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors")
    tensors = load_file(tmp_path / "autoencoder.safetensors")
    save_file(tensors, tmp_path / "bare.safetensors", metadata={"fd2talk": "not json"})
    for name in ("text", "foreign", "bare"):
        with pytest.raises(InputError) as caught:
            load_autoencoder(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(caught.value) and f"{name}.safetensors" in str(caught.value)


def test_a_config_says_which_autoencoder():
    made = build_autoencoder({"latent_channels": 4, "coarse": 8, "fine": 8})
    assert isinstance(made, Autoencoder) and made.config.coarse == 8
    with pytest.raises(InputError, match="no autoencoder known here"):
        build_autoencoder({"architecture": "UNet2DModel", "settings": {}})
