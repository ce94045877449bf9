"""The ablations of the renderer: each differs from the whole in what it is named after, and can be trained."""

import pytest
import torch
import yaml
from synthetic import write_pairs

from shared.training.loop import TrainingConfig
from shared.weights import bundled_config
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.render_model import save_network
from stage2_render.training.unet import build_task

DIFFERENCES = {
    "full": {},
    "no_geometry": {"network": {"guidance": False}},
    "no_detail": {"loss": {"detail": 0}},
    "concatenated": {"network": {"conditions": "concatenated"}},
}


def config(name):
    return yaml.safe_load(bundled_config(f"ablations/renderer/{name}.yaml").read_text())


@pytest.mark.parametrize("name", DIFFERENCES)
def test_budgets_are_equal(name):
    whole, own = config("full"), config(name)
    assert own["training"].pop("output") == f"runs/ablation_{name}"
    del whole["training"]["output"]
    for section, changes in DIFFERENCES[name].items():
        whole[section] |= changes
    assert own == whole
    TrainingConfig(output="there", **own["training"])


def test_the_whole_is_what_is_bundled():
    whole, bundled = config("full"), yaml.safe_load(bundled_config("bundled/unet.yaml").read_text())
    for section in ("data", "network", "autoencoder", "perceptual", "start"):
        assert whole[section] == bundled[section], section


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablations")
    network = Autoencoder(AutoencoderConfig(latent_channels=32, coarse=16, fine=8, fine_blocks=1))
    save_network(network, folder / "autoencoder.safetensors", {})
    return {
        "data": {"pairs": str(write_pairs(folder / "pairs"))},
        "autoencoder": str(folder / "autoencoder.safetensors"),
        "perceptual": None,
    }


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_loss_comes_out(name, material):
    task = build_task({**config(name), **material})
    batches = [task.batch(torch.Generator().manual_seed(seed), 2) for seed in range(6)]
    assert any(batch["detail"] for batch in batches) == (name != "no_detail")
    assert all(batch["guided"].any() == (name != "no_geometry") for batch in batches)
    loss, parts = task.loss(task.model, batches[0])
    loss.backward()
    assert torch.isfinite(loss) and ("opacity" in parts) == bool(batches[0]["detail"])
    assert task.model.unet.leave[-1].weight.grad.abs().max() > 0
