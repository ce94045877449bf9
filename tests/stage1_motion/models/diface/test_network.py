"""3DiFACE's denoiser: what changes its output, eq. 3, and how far in time a frame reaches."""

import math

import pytest
import torch

from shared.errors import InputError
from stage1_motion.models.diface.network import ConvolutionBackbone, Denoiser, DenoiserConfig, sinusoid

SIZES = {"coordinates": 9, "speech_features": 5, "people": 3, "width": 8, "speech_width": 6}
SHAPES = [(0, 3), (0, 5), (1, 3), (1, 5), (2, 3), (2, 5)]


@pytest.fixture(autouse=True)
def double():
    """Everything in float64, where the order of a sum does not matter."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(**changes):
    torch.manual_seed(0)
    return Denoiser(DenoiserConfig(**{**SIZES, **changes})).eval()


def inputs(frames=20, batch=2):
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    return random(batch, frames, 9), torch.tensor([3, 400])[:batch], random(batch, frames, 5), random(batch, 8)


def test_sinusoid():
    found = sinusoid(torch.tensor([0, 7, 499]), 8)
    for row, t in zip(found.tolist(), (0, 7, 499)):
        angles = [t / 10000 ** (2 * k / 8) for k in range(4)]
        assert row == pytest.approx([*map(math.sin, angles), *map(math.cos, angles)], abs=1e-4)


@torch.no_grad()
def test_every_input_matters():
    network, (x, t, speech, person) = made(), inputs()
    before = network(x, t, speech, person)
    assert before.shape == x.shape
    for changed in (
        (x + 0.5, t, speech, person),
        (x, t + 20, speech, person),
        (x, t, speech + 0.5, person),
        (x, t, speech, person + 0.5),
    ):
        assert ((network(*changed) - before).abs().amax((1, 2)) > 1e-3).all()


@torch.no_grad()
def test_what_the_blocks_get():
    """W_in x_t + W_t PE(t); and the speech of a coarse frame is the mean of that of its frames."""
    network, (x, t, speech, person) = made(), inputs()
    seen, heard = [], []
    network.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for block in network.backbone.modules():
        if type(block).__name__ == "ConditionBlock":
            block.register_forward_pre_hook(lambda _, given: heard.append(given[1]))
    network(x, t, speech, person)
    time = sinusoid(t, 8) @ network.time.weight.T + network.time.bias
    expected = x @ network.motion_encoder.weight.T + network.motion_encoder.bias + time[:, None]
    assert torch.allclose(seen[0], expected.mT)
    whole = (speech @ network.speech.weight.T + network.speech.bias).mT
    assert [value.shape[-1] for value in heard] == [20, 10, 5, 5, 10, 20]
    for value in heard:
        size = 20 // value.shape[-1]
        means = [whole[..., start : start + size].mean(-1) for start in range(0, 20, size)]
        assert torch.allclose(value, torch.stack(means, dim=-1))


@torch.no_grad()
def test_the_person_s_vector_is_added_before_the_decoder():
    network, (x, t, speech, person) = made(), inputs()
    other = person + torch.arange(8) / 8
    apart = network(x, t, speech, other) - network(x, t, speech, person)
    assert torch.allclose(apart, ((other - person) @ network.motion_decoder.weight.T)[:, None].expand_as(apart))


@torch.no_grad()
def test_dropped_speech_is_no_speech():
    """The condition itself is zero, so that neither the speech nor the linear layer's bias is left of it."""
    network, (x, t, speech, person) = made(), inputs()
    dropped = network(x, t, speech, person, torch.tensor([True, False]))
    assert torch.equal(dropped[0], network(x, t, 0 * speech + 9, person, torch.tensor([True, True]))[0])
    assert torch.allclose(dropped[1], network(x, t, speech, person)[1])
    silent = made()
    silent.speech.weight.zero_()
    silent.speech.bias.zero_()
    assert torch.allclose(silent(x, t, speech, person)[0], dropped[0])
    assert not torch.allclose(network(x, t, 0 * speech, person)[0], dropped[0], atol=1e-4)  # the bias is heard


@pytest.mark.parametrize("unconditional_width", [0, 16])
@pytest.mark.parametrize("scale", [0, 0.5, 1, 2])
@torch.no_grad()
def test_equation_3(scale, unconditional_width):
    network, arguments = made(unconditional_width=unconditional_width), inputs()
    yes = torch.tensor([True, True])
    empty, full = network(*arguments, yes), network(*arguments, ~yes)
    assert not torch.allclose(empty, full, atol=1e-3)
    found = network.guided(*arguments, scale)
    for item in range(2):
        assert torch.allclose(found[item], empty[item] + scale * (full[item] - empty[item]), atol=1e-9)


@torch.no_grad()
def test_weights_of_their_own_for_the_empty_condition():
    """They alone answer where speech is dropped, whatever the speech; where it is heard nothing changes."""
    network, (x, t, speech, person) = made(unconditional_width=16), inputs()
    heard = network(x, t, speech, person)
    for drop in ([True, False], [False, True], [True, True]):
        found = network(x, t, speech, person, torch.tensor(drop))
        alone = network.unconditional(x, t, person)
        for item, dropped in enumerate(drop):
            assert torch.allclose(found[item], (alone if dropped else heard)[item])
    assert not torch.allclose(alone, made()(x, t, speech, person, torch.tensor([True, True])), atol=1e-3)
    before = heard, network.guided(x, t, speech, person, 0), network.guided(x, t, speech, person, 0.5)
    for parameter in network.unconditional.parameters():
        parameter *= 1.1
    after = [network.guided(x, t, speech, person, scale) for scale in (1, 0, 0.5)]
    assert torch.equal(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-3) and not torch.allclose(after[2], before[2], atol=1e-3)
    for changed in ((x + 0.5, t, person), (x, t + 20, person), (x, t, person + 0.5)):
        assert not torch.allclose(network.unconditional(*changed), network.unconditional(x, t, person), atol=1e-4)


def test_both_learn_from_one_batch():
    network, arguments = made(unconditional_width=8), inputs()
    network(*arguments, torch.tensor([True, False])).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert name == "person.weight" or parameter.grad.abs().max() > 0, name


def influence(network, frame, frames):
    """Which frames of x_t and of the speech the prediction for a frame depends on: bool [N] each."""
    x, t, speech, person = inputs(frames, 1)
    x.requires_grad_()
    speech.requires_grad_()
    (network(x, t, speech, person)[0, frame] * torch.arange(1, 10)).sum().backward()
    return [value.grad[0].abs().amax(1) > 0 for value in (x, speech)]


@pytest.mark.parametrize(("levels", "kernel"), SHAPES)
def test_reach(levels, kernel):
    """Nothing beyond `reach` has an influence, whatever the frame's place in the strides; nearer frames have."""
    network = made(levels=levels, kernel=kernel)
    reach, stride = network.config.reach, network.config.stride
    middle, frames = reach + stride, 2 * (reach + 2 * stride) + 1
    furthest = 0
    for frame in range(middle, middle + stride):
        for has in influence(network, frame, frames):
            distance = (torch.arange(frames) - frame).abs()
            assert not has[distance > reach].any()
            assert has[distance <= reach // 2].all()
            furthest = max(furthest, int(distance[has].max()))
    assert furthest >= 0.6 * reach  # what is told is not much more than what is


@pytest.mark.parametrize(("levels", "kernel"), SHAPES)
@torch.no_grad()
def test_what_is_shifted_by_a_stride_gives_the_shifted_result(levels, kernel):
    network = made(levels=levels, kernel=kernel)
    reach, stride = network.config.reach, network.config.stride
    x, t, speech, person = inputs(2 * reach + 3 * stride + 1)
    whole = network(x, t, speech, person)
    later = network(x[:, stride:], t, speech[:, stride:], person)
    assert torch.allclose(whole[:, stride + reach :], later[:, reach:], atol=1e-12)
    shorter = network(x[:, :-3], t, speech[:, :-3], person)
    kept = shorter.shape[1] - reach
    assert torch.allclose(whole[:, :kept], shorter[:, :kept], atol=1e-12)


@torch.no_grad()
def test_one_frame_is_enough():
    x, t, speech, person = inputs(1)
    assert made()(x, t, speech, person).shape == (2, 1, 9)


@pytest.mark.parametrize("levels", [0, 1, 2])
@torch.no_grad()
def test_the_way_up_adds_what_the_way_down_passed(levels):
    """With blocks that add nothing, what is left are the means of two frames down, and interpolated sums up."""
    backbone = ConvolutionBackbone(DenoiserConfig(**SIZES, levels=levels)).eval()
    for parameter in backbone.parameters():
        parameter.zero_()
    h = inputs(16)[0].mT[:, :8]
    means = [h]
    for _ in range(levels):
        fine = means[-1]
        means.append(torch.stack([fine[..., [i, i + 1]].mean(-1) for i in range(0, fine.shape[-1], 2)], dim=-1))
    expected = means.pop()
    for passed in reversed(means):
        last = expected.shape[-1] - 1
        # Frame 2 j lies a quarter of a coarse frame before the middle of the coarse frame j, frame 2 j + 1 behind it.
        finer = [
            0.75 * expected[..., j] + 0.25 * expected[..., min(max(j + side, 0), last)]
            for j in range(last + 1)
            for side in (-1, 1)
        ]
        expected = passed + torch.stack(finer, dim=-1)
    assert torch.allclose(backbone(h, torch.zeros(2, 6, 16)), expected)


@torch.no_grad()
def test_every_condition_block_hears():
    """Each of them alone passes the speech on."""
    network, (x, t, speech, person) = made(), inputs()
    blocks = [m for m in network.backbone.modules() if type(m).__name__ == "ConditionBlock"]
    assert len(blocks) == 6  # first, two down, middle, two up
    for block in blocks:
        deaf = made()
        others = [m for m in deaf.backbone.modules() if type(m).__name__ == "ConditionBlock"]
        for other in others[: blocks.index(block)] + others[blocks.index(block) + 1 :]:
            other.conv.weight[:, 8:] = 0
        assert (deaf(x, t, speech, person) - deaf(x, t, -speech, person)).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "value", "message"), [
    ("width", 12, "divisible by 8"), ("width", 0, "`width` must be at least 1"), ("kernel", 4, "odd"),
    ("levels", -1, "levels"), ("people", 0, "people"), ("train_timesteps", 0, "train_timesteps"),
    ("backbone", "lstm", "no backbone 'lstm'"), ("dropout", 1.0, "dropout"), ("dropout", -0.1, "dropout"),
    ("unconditional_width", 12, "a multiple of 8"), ("unconditional_width", -8, "a multiple of 8"),
])  # fmt: skip
def test_impossible_sizes(name, value, message):
    with pytest.raises(InputError, match=message):
        DenoiserConfig(**{**SIZES, name: value})
