"""3DFacePolicy's network: encoders, FiLM, what the output depends on, and both predictions."""

import pytest
import torch
from torch import nn

from shared.diffusion.sampling import make_schedule
from shared.errors import InputError
from stage1_motion.models.facepolicy.network import (
    FilmBlock,
    Policy,
    PolicyConfig,
    VertexEncoder,
    timestep_embedding,
)

SIZES = {"channels": 15, "speech_features": 7, "size": 12, "speech_width": 4, "widths": (8, 16), "kernel": 3,
         "step_width": 8, "past": 3, "future": 2}  # fmt: skip


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def policy(**settings):
    torch.manual_seed(0)
    return Policy(PolicyConfig(**{**SIZES, **settings})).eval()


@torch.no_grad()
def test_film_scales_and_shifts_each_channel_by_the_condition():
    torch.manual_seed(0)
    block, x, condition = FilmBlock(8, 16, 5, 3), random(2, 8, 4), random(2, 5, seed=1)
    film = condition @ block.film.weight.T + block.film.bias
    hidden = block.first(x)
    for item in range(2):
        for channel in range(16):
            scale, shift = film[item, channel], film[item, 16 + channel]
            hidden[item, channel] = scale * hidden[item, channel] + shift
    assert torch.allclose(block(x, condition), block.second(hidden) + block.residual(x), atol=1e-6)


@torch.no_grad()
def test_the_vertex_encoder_is_linear_convolution_and_maximum():
    torch.manual_seed(0)
    encoder, positions = VertexEncoder(6, 5), random(3, 2, 6)
    frames = nn.functional.mish(positions @ encoder.linear.weight.T + encoder.linear.bias)
    kernel, bias = encoder.convolution.weight, encoder.convolution.bias
    at = [
        frames[:, 0] @ kernel[:, :, 1].T + frames[:, 1] @ kernel[:, :, 2].T + bias,
        frames[:, 0] @ kernel[:, :, 0].T + frames[:, 1] @ kernel[:, :, 1].T + bias,
    ]
    assert torch.allclose(encoder(positions), torch.maximum(*at), atol=1e-6)


def test_the_timestep_embedding():
    found = timestep_embedding(torch.tensor([0, 7]), 6)
    angles = 7 * torch.tensor([1.0, 1e-2, 1e-4])
    assert torch.allclose(found[1], torch.cat([angles.sin(), angles.cos()]), atol=1e-6)
    assert found[0].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("widths", [(8,), (8, 16), (8, 16, 24)])
@torch.no_grad()
def test_every_input_matters(widths):
    """The noisy actions, the timestep, each observed frame and each frame of speech that is heard."""
    network = policy(widths=widths)
    noisy, seen, speech, step = (
        random(2, 4, 15),
        random(2, 2, 15, seed=1),
        random(2, 5, 7, seed=2),
        torch.tensor([3, 90]),
    )

    def predicted(noisy=noisy, seen=seen, speech=speech, step=step):
        return network(noisy, network.observe(seen, speech), step)

    before = predicted()
    assert before.shape == (2, 4, 15)
    assert (predicted(noisy=noisy + 1) - before).abs().max() > 1e-3
    assert (predicted(step=torch.tensor([50, 50])) - before).abs().max() > 1e-4
    for name, value, frames in (("seen", seen, 2), ("speech", speech, 5)):
        for frame in range(frames):
            changed = value.clone()
            changed[:, frame] += 3
            assert (predicted(**{name: changed}) - before).abs().max() > 1e-4, (name, frame)


@torch.no_grad()
def test_predicted_noise_gives_actions():
    """a_k = sqrt(a) a_0 + sqrt(1 - a) epsilon, solved for a_0 with what the network takes for epsilon."""
    network, noisy, step = policy(prediction="epsilon"), random(3, 4, 15), torch.tensor([0, 40, 80])
    condition = network.observe(random(3, 2, 15, seed=1), random(3, 5, 7, seed=2))
    actions, epsilon = network.actions(noisy, condition, step), network(noisy, condition, step)
    for item, k in enumerate(step.tolist()):
        level = float(make_schedule(100).alphas_cumprod[k])
        again = level**0.5 * actions[item] + (1 - level) ** 0.5 * epsilon[item]
        assert torch.allclose(again, noisy[item], atol=1e-5)
    last = network.actions(noisy, condition, torch.tensor([99, 99, 99]))  # no signal is left to divide by
    assert torch.isfinite(last).all()
    same = policy(prediction="sample")
    assert torch.equal(same.actions(noisy, condition, step), same(noisy, condition, step))


@torch.no_grad()
def test_guidance():
    network, noisy, step = policy(), random(2, 4, 15), torch.tensor([3, 90])
    torch.nn.init.normal_(network.no_speech)
    seen, speech = random(2, 2, 15, seed=1), random(2, 5, 7, seed=2)
    heard = network.observe(seen, speech)
    unheard = network.observe(seen, speech, torch.tensor([True, True]))
    assert torch.equal(unheard, network.observe(seen, speech + 1, torch.tensor([True, True])))
    assert torch.equal(network.observe(seen, speech, torch.tensor([False, True])), torch.stack([heard[0], unheard[1]]))
    with_speech, without = (network.actions(noisy, c, step) for c in (heard, unheard))
    found = network.guided(noisy, torch.cat([heard, unheard]), step, 1.7)
    assert torch.allclose(found, without + 1.7 * (with_speech - without), atol=1e-5)
    assert torch.equal(network.guided(noisy, heard, step, 1.0), with_speech)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("horizon", 3, "cannot be halved"), ("acted", 5, "exceeds `horizon`"), ("widths", (8, 12), "multiples of 8"),
    ("prediction", "velocity", "sample, epsilon"), ("future", -1, "future"), ("kernel", 4, "odd"),
    ("dropout", 1.0, "dropout"), ("observed", 0, "observed"), ("widths", (), "widths"),
])  # fmt: skip
def test_impossible_sizes(name, value, message):
    with pytest.raises(InputError, match=message):
        PolicyConfig(**{**SIZES, name: value})
