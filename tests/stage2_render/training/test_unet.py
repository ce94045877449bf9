"""Training of the Diffusion UNet on synthetic pairs, its ablations, and the paper's configuration."""

import pytest
import torch
from synthetic import (
    autoencoder_task,
    check_resumed_equals_uninterrupted,
    mean_loss,
    pairs_section,
    task_of,
    training,
    write_pairs,
)

from shared.config import Config
from shared.errors import InputError
from shared.training.config import TrainingConfig
from shared.training.loop import train
from shared.weights import bundled_config
from stage2_render.diffusion.render_model import TRAIN_TIMESTEPS, RenderNetworks, save_autoencoder
from stage2_render.training import autoencoder, unet
from stage2_render.training.batch_sampler import BatchSampler, PairsConfig

UNET = {"channels": [16, 16], "attention": [False, True], "heads": 2, "time_width": 16}
PUBLISHED = ("from_warp", "image_weight", "mouth_weight", "eyes_weight", "portraits", "flip", "jitter")  # all 0
# What configs/ablations/renderer.yaml changes in the bundled configuration.
ABLATIONS = {
    "full": {},
    "no_geometry": {"network": {"geometry_conditioning": False}},
    "no_detail": {"loss": {"detail": 0}},
    "concatenated": {"network": {"conditions": "concatenated"}},
}
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
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "face")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, pairs):
    """The file of an autoencoder that is not trained: principal components."""
    path = tmp_path_factory.mktemp("autoencoder") / "autoencoder.safetensors"
    save_autoencoder(autoencoder_task(pairs).model, path)
    return path


def unet_task(pairs, encoded, network=None, **changes):
    torch.manual_seed(0)
    config = {"data": pairs_section(pairs), "autoencoder": str(encoded), "network": {**UNET, **(network or {})}}
    return task_of(unet, **{**config, **changes})


def config(name):
    kind, part = name.split("/")
    return Config.load(bundled_config(f"train/{kind}/stage2_render/{part}.yaml")).resolved()


def sections(read, **changes):
    return {key: value for key, value in {**read, **changes}.items() if key not in ("model", "training")}


def test_the_unet_learns(tmp_path, pairs, encoded):
    task = unet_task(pairs, encoded)
    before = mean_loss(task)
    result = train(task, training(tmp_path, 40))
    assert mean_loss(task) < 0.8 * before
    # Where the warp is wrong, in mouths that open, the repair is closer to the real frame.
    assert result["validation"]["opened_psnr_gain"] > 0.5
    assert (tmp_path / "best" / "pictures.png").exists()
    loaded = RenderNetworks.load(tmp_path / "best")
    assert (loaded.framing, loaded.steps) == ("face", 1)


def test_resumed_equals_uninterrupted(tmp_path, pairs, encoded, monkeypatch):
    check_resumed_equals_uninterrupted(lambda: unet_task(pairs, encoded), tmp_path, monkeypatch)


def test_the_published_objective_is_equation_16_alone(pairs, encoded):
    loss = dict.fromkeys(PUBLISHED, 0)
    task = unet_task(pairs, encoded, {"geometry_conditioning": False}, loss=loss, steps=50)
    model = task.model
    assert model.steps == 50 and not any(p.requires_grad for p in model.autoencoder.parameters())
    task.channel_weights = torch.ones_like(task.channel_weights)  # of principal components, which the paper has not
    with torch.no_grad():
        for parameter in model.unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        batch = task.batch(torch.Generator().manual_seed(3), 8)
        loss, parts = task.loss(model, batch)
        clean, reference = (model.autoencoder.encode(batch[name]) for name in ("target", "reference"))
        noisy = model.schedule.add_noise(clean, batch["noise"], batch["timesteps"])
        predicted = model.unet(noisy, batch["timesteps"], batch["coefficients"], reference)
        torch.testing.assert_close(loss, (clean - predicted).square().mean())
    assert list(parts) == ["latent"] and batch["timesteps"].unique().numel() > 4
    assert not batch["coefficient_drop_mask"].any()


def test_frames_from_the_warp_have_geometry_conditioning(pairs, encoded):
    task = unet_task(pairs, encoded, loss={"from_warp": 0.5, "geometry_dropout": 0.5})
    masks = torch.stack([task.batch(torch.Generator().manual_seed(k), 8)["geometry_drop_mask"] for k in range(20)])
    assert not masks[:, :4].any() and 0.3 < masks[:, 4:].float().mean() < 0.7


def test_a_missing_autoencoder_is_named(pairs, tmp_path):
    with pytest.raises(InputError, match="nowhere.safetensors"):
        unet_task(pairs, tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kind", ["bundled", "paper"])
def test_the_unet_s_config_fits_the_autoencoder_s(kind):
    first, second = (config(f"{kind}/{part}") for part in ("autoencoder", "unet"))
    assert second["autoencoder"].startswith(first["training"]["output"]) and first["data"] == second["data"]


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_can_be_trained(name, pairs, tmp_path):
    path = tmp_path / "autoencoder.safetensors"
    network = {"latent_channels": 32, "coarse": 16, "fine": 8, "fine_blocks": 1}
    save_autoencoder(autoencoder_task(pairs, network=network).model, path)
    data = {"data": pairs_section(pairs), "autoencoder": str(path), "perceptual": None}
    own = config("bundled/unet")
    for section, changes in ABLATIONS[name].items():
        own[section] |= changes
    task = task_of(unet, **sections(own, **data))
    batches = [task.batch(torch.Generator().manual_seed(seed), 2) for seed in range(6)]
    assert any(batch["detail"] for batch in batches) == (name != "no_detail")
    assert (task.model.unet.geometry is None) == (name == "no_geometry")
    loss, parts = task.loss(task.model, batches[0])
    loss.backward()
    assert torch.isfinite(loss) and ("opacity" in parts) == bool(batches[0]["detail"])
    assert task.model.unet.conv_out[-1].weight.grad.abs().max() > 0


def paper_config(part, pairs, tmp_path):
    """A published config, on synthetic pairs, for one step of one pair."""
    read = config(f"paper/{part}")
    assert read["data"]["framing"] == "head"
    training = {**read["training"], "output": str(tmp_path / part), "max_steps": 1, "batch_size": 1}
    # The perceptual distance's weights are not part of the project; it takes the same steps without them.
    return {**read, "data": pairs_section(pairs, "head"), "perceptual": None, "training": training}


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
    pairs = write_pairs(tmp_path / "pairs", 20, framing="head")
    diffusers.VQModel(**FIRST_STAGE).save_pretrained(tmp_path / "ldm" / "vqvae")

    settings = paper_config("autoencoder", pairs, tmp_path)
    assert settings["network"]["subfolder"] == "vqvae"
    settings["network"]["pretrained"] = str(tmp_path / "ldm")
    task = task_of(autoencoder, **sections(settings))
    assert task.model.factor == 4 and task.window == 64
    result, changed = one_step(task, settings)
    assert changed > 0.9

    settings = {**paper_config("unet", pairs, tmp_path), "autoencoder": result["best"] + "/autoencoder.safetensors"}
    assert settings["steps"] == 50
    settings["steps"] = 2
    del task
    task = task_of(unet, **sections(settings))
    network = task.model.unet
    sizes = network.config
    assert (sizes.size, sizes.latent_channels, sizes.geometry_conditioning) == (64, 3, False)
    assert len(task.model.schedule.alphas_cumprod) == TRAIN_TIMESTEPS == 1000
    assert sum(parameter.numel() for parameter in network.parameters()) > 200e6
    with torch.no_grad():
        latents = task.model.autoencoder.encode(task.batches.at([0, 1])["target"])
    assert latents.shape == (2, 3, 64, 64) and 0.5 < latents.std() < 2
    result, changed = one_step(task, settings)
    assert changed > 0  # layers before those initialised with zeros have no gradient yet
    del task

    networks = RenderNetworks.load(tmp_path / "unet" / "best")
    assert (networks.framing, networks.steps) == ("head", 2)
    batch = BatchSampler(PairsConfig(**settings["data"]).open()).at([0])
    repair = networks.repair(
        batch["warped"],
        networks.autoencoder.encode(batch["reference"]),
        batch["maps"],
        batch["coefficients"],
        torch.randn(1, 3, 64, 64),
        geometry=False,
        detail=False,
    )
    assert repair.content.shape == (1, 3, 256, 256) and torch.isfinite(repair.content).all()
    assert torch.equal(repair.opacity, torch.ones(1, 1, 256, 256))
