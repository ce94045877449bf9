"""FD2Talk's own stage two at its published size, once."""

import pytest
import torch
import yaml
from synthetic import write_pairs

from shared.training.loop import TrainingConfig, train
from shared.weights import bundled_config
from stage2_render.diffusion.render_model import TRAIN_TIMESTEPS, RenderNetworks
from stage2_render.training import autoencoder as autoencoder_task
from stage2_render.training import unet as unet_task
from stage2_render.training.batch_sampler import Batches

# Latent diffusion models' autoencoder of factor 4, as configs/paper/autoencoder.yaml names it.
FIRST_STAGE = {
    "block_out_channels": [128, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 2,
    "latent_channels": 3,
    "num_vq_embeddings": 8192,
    "sample_size": 256,
}


def config(part, pairs, tmp_path):
    """A published config, on pairs drawn by numbers, for one step of one pair."""
    read = yaml.safe_load(bundled_config(f"paper/{part}.yaml").read_text())
    assert read["data"]["framing"] == "head"
    training = {**read["training"], "output": str(tmp_path / part), "max_steps": 1, "batch_size": 1}
    # The perceptual distance's weights are not part of the project; it takes the same steps without them.
    return {**read, "data": {"pairs": str(pairs), "framing": "head"}, "perceptual": None, "training": training}


def one_step(task, settings):
    before = {name: value.clone() for name, value in task.model.named_parameters() if value.requires_grad}
    result = train(task, TrainingConfig.from_dict(settings["training"]))
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

    settings = config("autoencoder", pairs, tmp_path)
    assert settings["network"]["subfolder"] == "vqvae"
    settings["network"]["pretrained"] = str(tmp_path / "ldm")
    task = autoencoder_task.build_task(settings)
    assert task.model.factor == 4 and task.window == 64
    result, changed = one_step(task, settings)
    assert changed > 0.9

    settings = {**config("unet", pairs, tmp_path), "autoencoder": result["best"] + "/autoencoder.safetensors"}
    assert settings["steps"] == 50
    settings["steps"] = 2
    del task
    task = unet_task.build_task(settings)
    unet = task.model.unet
    assert (unet.config.size, unet.config.latent_channels, unet.config.guidance) == (64, 3, False)
    assert len(task.model.schedule.alphas_cumprod) == TRAIN_TIMESTEPS == 1000
    assert sum(parameter.numel() for parameter in unet.parameters()) > 200e6
    with torch.no_grad():
        latents = task.model.autoencoder.encode(task.batches.at([0, 1])["target"])
    assert latents.shape == (2, 3, 64, 64) and 0.5 < latents.std() < 2
    result, changed = one_step(task, settings)
    assert changed > 0  # what follows layers that begin at zero has no gradient yet
    del task

    networks = RenderNetworks.load(tmp_path / "unet" / "best")
    assert (networks.framing, networks.steps) == ("head", 2)
    batch = Batches(autoencoder_task.ready(settings["data"])).at([0])
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
