"""Training of the Diffusion UNet on synthetic frames, its ablations, and the paper's configuration."""

import numpy as np
import pytest
import torch
from synthetic import check_resumed_equals_uninterrupted, mean_loss, task_of, training
from synthetic_frames import autoencoder_task, frames_section, write_frames

from shared.config import Config
from shared.errors import InputError
from shared.training.config import TrainingConfig
from shared.training.loop import train
from shared.weights import bundled_config
from stage2_render.diffusion.diffusers_autoencoder import DiffusersConfig
from stage2_render.diffusion.render_model import (
    TRAIN_TIMESTEPS,
    RenderNetworks,
    build_autoencoder,
    save_autoencoder,
)
from stage2_render.training import autoencoder, unet

UNET = {"channels": [16, 16], "attention": [False, True], "heads": 2, "time_width": 16}
# Latent diffusion models' autoencoder of factor 4, as configs/train/paper/stage2_render/autoencoder.yaml names it.
FIRST_STAGE = {
    "block_out_channels": [128, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 2,
    "latent_channels": 3,
    "num_vq_embeddings": 8192,
    "sample_size": 256,
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("frames") / "set")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, frames):
    """The file of an autoencoder that is not trained: principal components."""
    path = tmp_path_factory.mktemp("autoencoder") / "autoencoder.safetensors"
    save_autoencoder(autoencoder_task(frames).model, path)
    return path


def unet_task(frames, encoded, network=None, **changes):
    torch.manual_seed(0)
    config = {"data": frames_section(frames), "autoencoder": str(encoded), "network": {**UNET, **(network or {})}}
    return task_of(unet, **{**config, "window": [32, 48, 192], "steps": 2, **changes})


def config(name):
    kind, part = name.split("/")
    return Config.load(bundled_config(f"train/{kind}/stage2_render/{part}.yaml")).resolved()


def sections(read, **changes):
    return {key: value for key, value in {**read, **changes}.items() if key not in ("model", "training")}


def test_the_unet_learns(tmp_path, frames, encoded):
    task = unet_task(frames, encoded)
    before = mean_loss(task)
    result = train(task, training(tmp_path, 20))
    assert mean_loss(task) < 0.8 * before
    assert np.isfinite(list(result["validation"].values())).all()
    assert (tmp_path / "best" / "pictures.png").exists()
    loaded = RenderNetworks.load(tmp_path / "best")
    assert loaded.steps == 2 and loaded.window == (32, 48, 192) and loaded.unet.config.size == 24


def test_resumed_equals_uninterrupted(tmp_path, frames, encoded, monkeypatch):
    check_resumed_equals_uninterrupted(lambda: unet_task(frames, encoded), tmp_path, monkeypatch)


@pytest.mark.parametrize("positions", ["encoding", "pose"])
def test_equation_16(frames, encoded, positions):
    """|| J_0 - theta(J_t, t, beta, p, x) ||^2 with J_t of eq. 2: a mean of squares; J_0, no noise, is predicted."""
    task = unet_task(frames, encoded, {"positions": positions, "copies": 2 if positions == "pose" else 0})
    model = task.model
    assert not any(p.requires_grad for p in model.autoencoder.parameters())
    with torch.no_grad():
        for parameter in model.unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        batch = task.batch(torch.Generator().manual_seed(3), 6)
        loss = task.loss(model, batch)[0].item()
        total, values = 0.0, 0
        for index in range(6):
            one = {name: value[index : index + 1] for name, value in batch.items()}
            clean, reference = (model.autoencoder.encode(one[name]) for name in ("target", "reference"))
            alpha = float(model.schedule.alphas_cumprod[int(one["timesteps"])])
            noisy = clean * alpha**0.5 + one["noise"] * (1 - alpha) ** 0.5
            known = ()
            if positions == "pose":
                known = one["reference_coefficients"], model.autoencoder.encode_patches(one["reference"], 2)
            predicted = model.unet(noisy, one["timesteps"], one["coefficients"], reference, *known)
            difference = clean.double().numpy() - predicted.double().numpy()
            total, values = total + (difference**2).sum(), values + difference.size
    assert loss == pytest.approx(total / values, rel=1e-4)
    assert batch["timesteps"].unique().numel() > 4


def test_errors_of_mouth_and_eyes_can_weigh_more(frames, encoded):
    plain, weighted = (unet_task(frames, encoded, loss={"mouth_weight": w, "eyes_weight": 2 * w}) for w in (0.0, 1.0))
    batch = plain.batch(torch.Generator().manual_seed(0), 1)
    with torch.no_grad():
        one, other = (task.loss(plain.model, batch)[0].item() for task in (plain, weighted))
        target = plain.model.autoencoder.encode(batch["target"])
        reference = plain.model.encode_reference(batch["reference"], batch["reference_coefficients"])
        noisy = plain.model.schedule.add_noise(target, batch["noise"], batch["timesteps"])
        predicted = plain.model.predict(noisy, batch["timesteps"], batch["coefficients"], reference)
        error = (predicted - target).square().mean(1)[0]
    more, at = 0.0, 8 * (np.arange(24) + 0.5)
    for name, (x0, y0, x1, y1) in zip(("mouth", "eye", "eye"), batch["boxes"][0].tolist()):
        for row in np.flatnonzero((at >= y0 - 4) & (at <= y1 + 4)):
            for column in np.flatnonzero((at >= x0 - 4) & (at <= x1 + 4)):
                more += float(error[row, column]) * (1 if name == "mouth" else 2) / 24**2
    assert more > 0 and other == pytest.approx(one + more, rel=1e-4)


def test_more_of_the_noisy_timesteps_can_be_drawn(frames, encoded):
    for power, mean in ((0.0, 1 / 2), (1.0, 2 / 3), (3.0, 4 / 5)):
        task = unet_task(frames, encoded, loss={"timestep_power": power})
        task.batches.draw = lambda *_: {}  # no pictures are looked at here
        timesteps = task.batch(torch.Generator().manual_seed(0), 400)["timesteps"]
        assert timesteps.float().mean() / TRAIN_TIMESTEPS == pytest.approx(mean, abs=0.04)
        assert 0 <= timesteps.min() and timesteps.max() < TRAIN_TIMESTEPS


def test_statistics_of_the_coefficients_are_kept_when_training_goes_on(frames, encoded, tmp_path):
    task = unet_task(frames, encoded)
    mean, std = (getattr(task.model.unet, f"coefficient_{name}").clone() for name in ("mean", "std"))
    coefficients = np.load(frames / "facts.npz")["coefficients"]
    np.testing.assert_allclose(mean, coefficients.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(std, coefficients.std(0, ddof=1), rtol=1e-4)
    task.model.unet.coefficient_mean.add_(1)
    task.model.save(tmp_path)
    continued = task_of(unet, data=frames_section(frames), initial=str(tmp_path), autoencoder=str(encoded))
    torch.testing.assert_close(continued.model.unet.coefficient_mean, mean + 1, atol=1e-3, rtol=1e-3)
    assert all(p.requires_grad for p in continued.model.unet.parameters())


def test_a_missing_autoencoder_is_named(frames, tmp_path):
    with pytest.raises(InputError, match="nowhere.safetensors"):
        unet_task(frames, tmp_path / "nowhere.safetensors")


def test_copies_need_an_encoder_of_patches(frames, tmp_path):
    pytest.importorskip("diffusers", reason="the optional extra `paper` is not installed")
    levels = {
        f"{way}_block_types": [f"{name}Block2D"] * 3 for way, name in (("down", "DownEncoder"), ("up", "UpDecoder"))
    }
    settings = {"block_out_channels": [8, 8, 8], **levels, "latent_channels": 3, "norm_num_groups": 4}
    path = tmp_path / "autoencoder.safetensors"
    save_autoencoder(build_autoencoder(DiffusersConfig("AutoencoderKL", settings)), path)
    with pytest.raises(InputError, match="copies must be 0 for an autoencoder of diffusers"):
        unet_task(frames, path)


@pytest.mark.parametrize("kind", ["bundled", "paper"])
def test_the_unet_s_config_fits_the_autoencoder_s(kind):
    first, second = (config(f"{kind}/{part}") for part in ("autoencoder", "unet"))
    assert second["autoencoder"].startswith(first["training"]["output"])
    assert second["data"]["frames"].startswith(first["data"]["frames"])
    assert first["loss"].get("window") == second.get("window")


def paper_config(part, frames, tmp_path):
    """A published config, on synthetic frames, for one step of one pair."""
    read = config(f"paper/{part}")
    training = {**read["training"], "output": str(tmp_path / part), "max_steps": 1, "batch_size": 1}
    # The perceptual distance's weights are not part of the project; it takes the same steps without them.
    read = {**read, "data": frames_section(frames), "training": training}
    return {**read, "perceptual": None} if "perceptual" in read else read


def one_step(task, settings):
    before = {name: value.clone() for name, value in task.model.named_parameters() if value.requires_grad}
    result = train(task, TrainingConfig(**settings["training"]))
    assert result["finished"]
    after = dict(task.model.named_parameters())
    return result, sum(not after[name].equal(value) for name, value in before.items()) / len(before)


@pytest.mark.slow
def test_the_paper_configuration_trains_a_step_and_samples_at_full_size(tmp_path):
    """A pretrained autoencoder of factor 4 (its architecture, random weights), 256 x 256 heads, latents of 64 x 64,
    1000 timesteps. It samples in 2 of its 50 steps: all are alike."""
    diffusers = pytest.importorskip("diffusers", reason="the optional extra `paper` is not installed")
    torch.manual_seed(0)
    frames = write_frames(tmp_path / "frames")
    diffusers.VQModel(**FIRST_STAGE).save_pretrained(tmp_path / "ldm" / "vqvae")

    settings = paper_config("autoencoder", frames, tmp_path)
    assert settings["network"]["subfolder"] == "vqvae"
    settings["network"]["pretrained"] = str(tmp_path / "ldm")
    task = task_of(autoencoder, **sections(settings))
    assert task.model.factor == 4 and task.part is None
    result, changed = one_step(task, settings)
    assert changed > 0.9

    settings = {**paper_config("unet", frames, tmp_path), "autoencoder": result["best"] + "/autoencoder.safetensors"}
    assert settings["steps"] == 50
    settings["steps"] = 2
    del task
    task = task_of(unet, **sections(settings))
    network = task.model.unet
    sizes = network.config
    assert (sizes.size, sizes.latent_channels, sizes.positions, sizes.copies) == (64, 3, "encoding", 0)
    assert len(task.model.schedule.alphas_cumprod) == TRAIN_TIMESTEPS == 1000
    assert sum(parameter.numel() for parameter in network.parameters()) > 200e6
    with torch.no_grad():
        latents = task.model.autoencoder.encode(task.batches.at(np.arange(2), np.arange(2))["target"])
    assert latents.shape == (2, 3, 64, 64) and 0.5 < latents.std() < 2
    result, changed = one_step(task, settings)
    assert changed > 0  # layers before those initialised with zeros have no gradient yet
    batch = task.batches.at(np.arange(1), np.arange(1))
    del task

    networks = RenderNetworks.load(tmp_path / "unet" / "best")
    assert (networks.window, networks.steps) == ((0, 0, 256), 2)
    reference = networks.encode_reference(batch["reference"], batch["reference_coefficients"])
    images = networks.generate(reference, batch["coefficients"], torch.randn(1, 3, 64, 64))
    assert images.shape == (1, 3, 256, 256) and torch.isfinite(images).all()
