"""Training of stage two on synthetic pairs: losses fall, eq. 16 is what it says, a killed run goes on as if it had not
been."""

import pytest
import torch
import yaml
from synthetic import write_pairs

from shared.errors import InputError
from shared.training.loop import TrainingConfig, train
from shared.weights import bundled_config
from stage2_render.diffusion.render_model import RenderNetworks, load_autoencoder, save_network
from stage2_render.training import autoencoder as autoencoder_task
from stage2_render.training import unet as unet_task
from stage2_render.training.batch_sampler import draw_windows, take_windows, weight_map

AUTOENCODER = {"latent_channels": 6, "coarse": 16, "fine": 8, "fine_blocks": 1}
UNET = {"channels": [16, 16], "attention": [False, True], "heads": 2, "time_width": 16}
PUBLISHED = {"repaired": 0, "pictures": 0, "mouth": 0, "eyes": 0, "portraits": 0, "flip": 0, "jitter": 0}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "face")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, pairs):
    """A file of an autoencoder that is fresh: principal components."""
    path = tmp_path_factory.mktemp("autoencoder") / "autoencoder.safetensors"
    save_network(autoencoder(pairs).model, path, {})
    return path


def autoencoder(pairs, **changes):
    torch.manual_seed(0)
    config = {"data": {"pairs": str(pairs)}, "network": AUTOENCODER, "loss": {"noise": 0.1}}
    return autoencoder_task.build_task({**config, **changes})


def unet(pairs, encoded, network=None, **changes):
    torch.manual_seed(0)
    config = {"data": {"pairs": str(pairs)}, "autoencoder": str(encoded), "network": {**UNET, **(network or {})}}
    return unet_task.build_task({**config, **changes})


def settings(output, steps, **changes):
    values = {"max_steps": steps, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 2, "precision": "no"}
    return TrainingConfig(str(output), **{**values, "validate_every": 1000, "save_every": 0.0, **changes})


def mean_loss(task, model, count=6):
    """Over batches that training does not see."""
    with torch.no_grad():
        drawn = [task.batch(torch.Generator().manual_seed(10**6 + k), 4) for k in range(count)]
        return sum(task.loss(model, batch)[0].item() for batch in drawn) / count


def test_autoencoder_learns(tmp_path, pairs):
    task = autoencoder(pairs, network={**AUTOENCODER, "latent_channels": 3})
    before, score = mean_loss(task, task.model), task.validate(task.model)["psnr"]
    result = train(task, settings(tmp_path, 120))
    assert mean_loss(task, task.model) < 0.9 * before
    assert result["best_score"] > score
    loaded = load_autoencoder(tmp_path / "best" / "autoencoder.safetensors")
    assert task.validate(loaded)["psnr"] == pytest.approx(result["best_score"], abs=0.2)


def test_unet_learns(tmp_path, pairs, encoded):
    task = unet(pairs, encoded)
    before = mean_loss(task, task.model)
    result = train(task, settings(tmp_path, 40))
    assert mean_loss(task, task.model) < 0.8 * before
    # Where the warp is wrong, in mouths that open, the repair is nearer to the truth.
    assert result["validation"]["opened_psnr_gain"] > 0.5
    assert (tmp_path / "best" / "pictures.png").exists()
    loaded = RenderNetworks.load(tmp_path / "best")
    assert (loaded.framing, loaded.steps) == ("face", 1)


@pytest.mark.parametrize("part", ["autoencoder", "unet"])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, pairs, encoded, part, monkeypatch):
    def made():
        return autoencoder(pairs) if part == "autoencoder" else unet(pairs, encoded)

    whole = made()
    train(whole, settings(tmp_path / "whole", 5))
    killed = made()
    loss, calls = killed.loss, []

    def dies(model, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(model, batch)

    monkeypatch.setattr(killed, "loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train(killed, settings(tmp_path / "killed", 5))
    resumed = made()
    assert train(resumed, settings(tmp_path / "killed", 5))["step"] == 5
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_published_objective_is_equation_16_alone(pairs, encoded):
    task = unet(pairs, encoded, {"guidance": False}, loss=PUBLISHED, steps=50)
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
    assert list(parts) == ["latent"] and batch["timesteps"].unique().numel() > 4 and batch["known"].all()


def test_published_autoencoder_objective_is_squares(pairs):
    task = autoencoder(pairs, loss={"noise": 0.0, "heads": 0.0, "weights": {"squares": True}})
    task.model.transfers_detail = False
    batch = task.batch(torch.Generator().manual_seed(3), 4)
    assert not batch["seen"] and batch["noise"].abs().max() == 0
    with torch.no_grad():
        reference, latents = (task.model.encode(batch[name]) for name in ("reference", "target"))
        expected = (batch["target"] - task.model.decode(reference, latents)[0]).square().mean()
        torch.testing.assert_close(task.loss(task.model, batch)[0], expected)


@pytest.mark.parametrize(("factor", "cells"), [(8, 16), (4, 16), (4, 64)])
def test_windows_lie_where_the_boxes_are(factor, cells):
    size = 256 // factor
    boxes = torch.tensor([[90.0, 150, 166, 220], [60, 50, 110, 80], [146, 50, 196, 80]]).expand(400, -1, -1)
    shut = torch.arange(400) % 2 == 0
    corners = draw_windows(boxes, shut, size, cells, factor, torch.Generator().manual_seed(0))
    assert corners.min() >= 0 and corners.max() <= size - cells
    middle = (corners + cells / 2) * factor
    if cells < size:
        in_mouth = (middle - torch.tensor([185.0, 128.0])).abs().amax(1) < 3 * factor
        at_an_eye = (middle[:, 0] - max(65, cells * factor / 2)).abs() < 3 * factor
        assert in_mouth[~shut].float().mean() > 0.5 and at_an_eye[shut].float().mean() > 0.5
    ramp = torch.arange(256.0).view(1, 1, 256, 1).expand(400, 1, -1, 256)
    taken = take_windows(ramp, corners, cells, size)
    assert torch.equal(taken[:, 0, 0, 0], corners[:, 0] * float(factor)) and taken.shape[-1] == cells * factor


@pytest.mark.parametrize("factor", [4, 8])
def test_the_mouth_weighs_more(factor):
    boxes = torch.tensor([[[96.0, 160, 160, 224], [64, 48, 104, 80], [152, 48, 192, 80]]])
    weights = weight_map(boxes, 256 // factor, factor, 4.0, 2.0)[0, 0]
    mouth, eye, none = ((row // factor, column // factor) for row, column in ((190, 128), (64, 84), (120, 20)))
    assert (weights[mouth], weights[eye], weights[none]) == (5, 3, 1)


def test_an_autoencoder_that_is_not_there_is_named(pairs, tmp_path):
    with pytest.raises(InputError, match="nowhere.safetensors"):
        unet(pairs, tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kind", ["bundled", "paper"])
def test_configs_of_both_kinds_are_complete(kind):
    configs = [yaml.safe_load(bundled_config(f"{kind}/{part}.yaml").read_text()) for part in ("autoencoder", "unet")]
    for config in configs:
        TrainingConfig.from_dict(config["training"])
    assert configs[1]["autoencoder"].startswith(configs[0]["training"]["output"])
    assert configs[0]["data"] == configs[1]["data"]
