"""DiffPoseTalk's denoiser: what attends to what, start features, and eq. 10."""

import pytest
import torch

from shared.diffusion.sampling import make_schedule
from shared.errors import InputError
from stage1_motion.models.diffposetalk.network import Denoiser, DenoiserConfig, alignment_mask

SIZES = {"coefficients": 5, "speech_features": 7, "identity": 3, "style": 4, "width": 16, "layers": 2, "heads": 2,
         "frames": 10, "context": 4, "dropout": 0.0}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(**SIZES)).eval()
    with torch.no_grad():  # what begins at zero would hide that it is used
        for name in ("start_motion", "start_speech", "no_speech", "no_style"):
            getattr(network, name).normal_()
    return network


def inputs(frames=10, known=4, batch=2):
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    values = (random(batch, frames, 5), random(batch, known, 5), random(batch, known + frames, 7))
    return (*values, torch.tensor([3, 400])[:batch]), {"style": random(batch, 4), "identity": random(batch, 3)}


def test_alignment_mask():
    """Token 0 is the condition and sees all speech; motion t, token t + 1, sees speech t alone."""
    mask = alignment_mask(4)
    for token in range(5):
        for frame in range(4):
            assert bool(mask[token, frame]) == (token == 0 or token - 1 == frame)


@torch.no_grad()
def test_motion_hears_its_own_frame_only():
    """Without self-attention, another frame's speech changes nothing but the condition token."""
    torch.manual_seed(0)
    heard = {}
    for aligned in (True, False):
        network = Denoiser(DenoiserConfig(**SIZES, aligned=aligned)).eval()
        for layer in network.decoder.layers:
            layer.self_attn.out_proj.weight.zero_()
            layer.self_attn.out_proj.bias.zero_()
        arguments, conditions = inputs()
        before = network(*arguments, **conditions)
        arguments[2][:, 6] += 1
        heard[aligned] = (network(*arguments, **conditions) - before).abs().amax((0, 2)) > 1e-6
    assert heard[True].tolist() == [frame == 6 for frame in range(14)]
    assert heard[False].all()


@torch.no_grad()
def test_every_input_matters(network):
    arguments, conditions = inputs()
    before = network(*arguments, **conditions)
    assert before.shape == (2, 14, 5)
    for index in range(3):
        changed = [*arguments]
        changed[index] = arguments[index] + 0.5
        assert (network(*changed, **conditions) - before).abs().max() > 1e-3
    assert (network(*arguments[:3], torch.tensor([9, 9]), **conditions) - before).abs().max() > 1e-3
    for name in conditions:
        assert (network(*arguments, **{**conditions, name: conditions[name] + 0.5}) - before).abs().max() > 1e-3


@torch.no_grad()
def test_skip_adds_what_the_layers_predict_to_the_best_linear_estimate(network):
    """x_0 = sqrt(a) x_n + sqrt(1 - a) F, F what the layers put out without it; known frames stay. Here the last two."""
    skipping = Denoiser(DenoiserConfig(**SIZES, skip=2)).eval()
    skipping.load_state_dict(network.state_dict())
    (noisy, previous, speech, timestep), conditions = inputs(known=3)
    found = skipping(noisy, previous, speech, timestep, **conditions)
    raw = network(noisy, previous, speech, timestep, **conditions)
    for item, n in enumerate(timestep.tolist()):
        level = float(make_schedule(500).alphas_cumprod[n])
        expected = level**0.5 * noisy[item] + (1 - level) ** 0.5 * raw[item, 4:]
        assert torch.allclose(found[item, 4:, 3:], expected[:, 3:], atol=1e-5)
        assert torch.equal(found[item, :4, 3:], torch.cat([network.start_motion[:1], previous[item]])[:, 3:])
        assert torch.allclose(found[item, :, :3], raw[item, :, :3], atol=1e-5)


@torch.no_grad()
def test_start_features_stand_where_nothing_was_before(network):
    (noisy, _, speech, timestep), conditions = inputs()
    start_motion, start_speech = (v.expand(2, -1, -1) for v in (network.start_motion, network.start_speech))
    expected = network(noisy, start_motion, torch.cat([start_speech, speech[:, 4:]], dim=1), timestep, **conditions)
    assert torch.allclose(network(noisy, None, speech[:, 4:], timestep, **conditions), expected, atol=1e-6)


@pytest.mark.parametrize("aligned", [True, False])
@torch.no_grad()
def test_a_truncated_window_is_a_shorter_window(aligned):
    """Frames that are not there change nothing of those that are."""
    torch.manual_seed(2)
    network = Denoiser(DenoiserConfig(**SIZES, aligned=aligned)).eval()
    (noisy, previous, speech, timestep), conditions = inputs()
    whole = network(noisy, previous, speech, timestep, **conditions, frames=torch.tensor([6, 10]))
    assert torch.isfinite(whole).all()
    short = network(noisy[:, :6], previous, speech[:, :10], timestep, **conditions)
    assert torch.allclose(whole[0, :10], short[0], atol=1e-5) and not torch.allclose(whole[1, :10], short[1], atol=1e-3)


@torch.no_grad()
def test_dropped_conditions_are_the_empty_ones(network):
    (noisy, previous, speech, timestep), conditions = inputs()
    yes, no = torch.tensor([True, True]), torch.tensor([False, False])
    dropped = network(noisy, previous, speech, timestep, **conditions, no_style=yes, no_speech=no)
    without = network(noisy, previous, speech, timestep, identity=conditions["identity"])
    assert torch.allclose(dropped, without, atol=1e-6)
    silent = network(noisy, previous, speech, timestep, **conditions, no_speech=yes)
    assert torch.allclose(silent, network(noisy, previous, 0 * speech, timestep, **conditions, no_speech=yes))
    assert not torch.allclose(silent, network(noisy, previous, speech, timestep, **conditions), atol=1e-3)


@pytest.mark.parametrize(("w_a", "w_s"), [(1.15, 2.5), (1.0, 1.0), (2.0, 0.0), (0.0, 1.0), (1.0, 3.0)])
@torch.no_grad()
def test_equation_10(network, w_a, w_s):
    arguments, conditions = inputs()
    yes = torch.tensor([True, True])
    neither = network(*arguments, **conditions, no_style=yes, no_speech=yes)
    speech = network(*arguments, **conditions, no_style=yes)
    both = network(*arguments, **conditions)
    expected = neither + w_a * (speech - neither) + w_s * (both - speech)
    found = network.guided(*arguments, **conditions, speech_scale=w_a, style_scale=w_s)
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_guidance_without_a_style(network):
    """Then w_s has no meaning: D(-, -) + w_a [D(A, -) - D(-, -)]."""
    arguments, conditions = inputs()
    identity, yes = conditions["identity"], torch.tensor([True, True])
    neither, speech = (network(*arguments, identity=identity, no_speech=drop) for drop in (yes, ~yes))
    found = network.guided(*arguments, identity=identity, speech_scale=1.7, style_scale=2.5)
    assert torch.allclose(found, neither + 1.7 * (speech - neither), atol=1e-5)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("width", 15, "divisible"), ("layers", 0, "layers"), ("lookahead", 10, "lookahead"), ("dropout", 1.0, "dropout"),
])  # fmt: skip
def test_impossible_sizes(name, value, message):
    with pytest.raises(InputError, match=message):
        DenoiserConfig(**{**SIZES, name: value})
