"""Training of encoder and decoder on synthetic pairs."""

import pytest
import torch
from synthetic import (
    AUTOENCODER,
    autoencoder_task,
    check_resumed_equals_uninterrupted,
    mean_loss,
    training,
    write_pairs,
)

from shared.training.loop import train
from stage2_render.diffusion.render_model import load_autoencoder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "face")


def test_the_autoencoder_learns(tmp_path, pairs):
    task = autoencoder_task(pairs, network={**AUTOENCODER, "latent_channels": 3})
    before, score = mean_loss(task), task.validate(task.model)["psnr"]
    result = train(task, training(tmp_path, 120))
    assert mean_loss(task) < 0.9 * before
    assert result["best_score"] > score
    loaded = load_autoencoder(tmp_path / "best" / "autoencoder.safetensors")
    assert task.validate(loaded)["psnr"] == pytest.approx(result["best_score"], abs=0.2)


def test_resumed_equals_uninterrupted(tmp_path, pairs, monkeypatch):
    check_resumed_equals_uninterrupted(lambda: autoencoder_task(pairs), tmp_path, monkeypatch)


def test_the_published_objective_is_the_squared_error(pairs):
    task = autoencoder_task(pairs, loss={"noise": 0.0, "heads": 0.0, "weights": {"squared": True}})
    task.model.transfers_detail = False
    batch = task.batch(torch.Generator().manual_seed(3), 4)
    assert not batch["detail"] and batch["noise"].abs().max() == 0
    with torch.no_grad():
        reference, latents = (task.model.encode(batch[name]) for name in ("reference", "target"))
        expected = (batch["target"] - task.model.decode(reference, latents)[0]).square().mean()
        torch.testing.assert_close(task.loss(task.model, batch)[0], expected)
