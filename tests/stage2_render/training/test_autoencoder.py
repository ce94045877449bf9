"""Training of encoder and decoder on synthetic frames."""

import numpy as np
import pytest
import torch
from synthetic import check_resumed_equals_uninterrupted, mean_loss, training
from synthetic_frames import NETWORK, autoencoder_task, write_frames

from shared.training.loop import train
from stage2_render.diffusion.render_model import load_autoencoder


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("frames") / "set")


def test_the_autoencoder_learns(tmp_path, frames):
    task = autoencoder_task(frames, network={**NETWORK, "latent_channels": 3}, loss={"part": 128})
    before, score = mean_loss(task), task.validate(task.model)["psnr"]
    result = train(task, training(tmp_path, 75))
    assert mean_loss(task) < 0.9 * before
    assert result["best_score"] > score
    loaded = load_autoencoder(tmp_path / "best" / "autoencoder.safetensors")
    assert task.validate(loaded)["psnr"] == pytest.approx(result["best_score"], abs=0.2)


def test_resumed_equals_uninterrupted(tmp_path, frames, monkeypatch):
    check_resumed_equals_uninterrupted(lambda: autoencoder_task(frames), tmp_path, monkeypatch)


def test_equation_13(frames):
    """|| F_2 - D([E(F_1), E(F_2)]) ||^2, the mean over the pixels of frames of one person."""
    task = autoencoder_task(frames, loss={"weights": {"squared": True}})
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
        batch = task.batch(torch.Generator().manual_seed(3), 4)
        assert batch["noise"].abs().max() == 0
        loss = task.loss(task.model, batch)[0].item()
        total, pixels = 0.0, 0
        for first, second in zip(batch["reference"], batch["target"]):
            latents = [task.model.encode(frame[None]) for frame in (first, second)]
            decoded = task.model.decode(*latents)[0]
            assert not torch.equal(decoded, task.model.decode(*latents[::-1])[0])
            difference = second.numpy().astype(np.float64) - decoded.numpy()
            total, pixels = total + float((difference**2).sum()), pixels + difference.size
    assert loss == pytest.approx(total / pixels, rel=1e-5)


def test_the_encoder_is_trained_unless_it_is_excluded(frames):
    for wanted in (True, False):
        model = autoencoder_task(frames, loss={"train_encoder": wanted}).model
        assert model.patch_embedding.weight.requires_grad == wanted and model.conv_out.weight.requires_grad


def test_half_of_the_latents_get_noise_of_different_strength(frames):
    noise = autoencoder_task(frames, loss={"noise": 0.5}).batch(torch.Generator().manual_seed(0), 40)["noise"]
    strengths = noise.std((1, 2, 3))
    assert 10 < (strengths == 0).sum() < 30 and 0.3 < strengths.max() < 0.6
