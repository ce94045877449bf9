"""The backbones of Table 2 (a)."""

import pytest
import torch

from shared.training.config import TrainingConfig
from shared.training.loop import train
from stage1_motion.models.diface.model import load
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig
from stage1_motion.models.diface.variants import AttentionBlock, FaceFormerBackbone

SIZES = {"coordinates": 9, "speech_features": 5, "people": 2, "width": 8, "speech_width": 8}


def made(backbone, **changes):
    torch.manual_seed(0)
    return Denoiser(DenoiserConfig(**{**SIZES, "backbone": backbone, **changes})).eval()


def inputs(frames=60):
    generator = torch.Generator().manual_seed(1)
    x, speech = (torch.randn(2, frames, size, generator=generator) for size in (9, 5))
    return x, torch.tensor([3, 400]), speech, torch.randn(2, 8, generator=generator)


def changed(network, frame, what):
    """Which frames of the first item change when a frame of x_t (0) or of the speech (2) does."""
    arguments = [value.clone() for value in inputs()]
    before = network(*arguments)
    arguments[what][0, frame] += 1
    after = network(*arguments)
    assert torch.allclose(after[1], before[1], atol=1e-6)  # items of a batch have nothing to do with each other
    return (after[0] - before[0]).abs().amax(1) > 1e-6


@torch.no_grad()
def test_attention_hears_the_whole_recording():
    """As many blocks as the convolutions have, each of which attends; where it is told by position."""
    network = made("attention", kernel=1, levels=0)
    assert sum(isinstance(m, AttentionBlock) for m in network.modules()) == 2
    assert changed(network, 3, 2).all()
    x, t, speech, person = inputs()
    moved = network(x, t, speech.roll(1, dims=1), person)
    assert not torch.allclose(moved, network(x, t, speech, person), atol=1e-5)


@torch.no_grad()
def test_the_faceformer_decoder_is_causal_and_hears_its_own_frame():
    network = made("faceformer")
    assert isinstance(network.backbone, FaceFormerBackbone)
    for what in (0, 2):
        assert changed(network, 30, what).tolist() == [frame >= 30 for frame in range(60)]
    for layer in network.backbone.decoder.layers:
        layer.self_attn.out_proj.weight.zero_()
    assert changed(network, 30, 2).tolist() == [frame == 30 for frame in range(60)]


@torch.no_grad()
def test_the_bias_of_faceformer(monkeypatch):
    """-slope times the whole periods back (eq. 4 of its paper), a slope for each head; the positions repeat."""
    seen = {}
    network = made("faceformer")

    def recorded(target, memory, tgt_mask, memory_mask):
        seen.update(target=target, bias=tgt_mask, aligned=memory_mask)
        return target

    monkeypatch.setattr(network.backbone.decoder, "forward", recorded)
    h = torch.zeros(2, 8, 60)
    network.backbone(h, torch.zeros(2, 8, 60))
    bias = seen["bias"].view(2, 4, 60, 60)
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        for i, j in ((0, 0), (24, 0), (25, 0), (30, 6), (59, 9), (59, 0)):
            assert float(bias[1, head, i, j]) == pytest.approx(-slope * ((i - j) // 25))
        assert bias[0, head, 3, 4] == -torch.inf
    assert torch.equal(seen["aligned"] == 0, torch.eye(60, dtype=torch.bool))
    assert torch.equal(seen["target"][:, :35], seen["target"][:, 25:])


@pytest.mark.parametrize("backbone", ["convolution", "attention", "faceformer"])
def test_every_backbone_trains_a_step_and_is_loaded(small, backbone, tmp_path):
    task = small.task(network={"backbone": backbone})
    before = {name: value.clone() for name, value in task.model.named_parameters()}
    config = TrainingConfig(output=str(tmp_path), max_steps=1, batch_size=4, threads=1, validate_every=1)
    assert train(task, config)["finished"]
    unmoved = [name for name, value in task.model.named_parameters() if torch.equal(value, before[name])]
    assert unmoved == []
    assert load(tmp_path / "best", small.space.model).network.config.backbone == backbone


@pytest.mark.parametrize("backbone", ["attention", "faceformer"])
@torch.no_grad()
def test_dropped_speech_has_no_influence(backbone):
    network, (x, t, speech, person) = made(backbone), inputs()
    dropped = [network(x, t, s, person, torch.tensor([True, True])) for s in (speech, 3 - speech)]
    assert torch.equal(*dropped) and not torch.allclose(dropped[0], network(x, t, speech, person), atol=1e-4)
