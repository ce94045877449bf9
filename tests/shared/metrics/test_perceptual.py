"""The perceptual distance as a metric and as a training loss, with a network of random weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shared.errors import InputError
from shared.metrics.perceptual import SqueezeDistance, picture_distance

# The fire modules of SqueezeNet 1.1: channels in, squeezed, expanded by each of the two convolutions.
FIRE = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128)}
FIRE |= {9: (256, 48, 192), 10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    torch.manual_seed(0)
    shapes = {"features.0": (64, 3, 3, 3)}
    for at, (wide, squeezed, expanded) in FIRE.items():
        shapes[f"features.{at}.squeeze"] = (squeezed, wide, 1, 1)
        shapes[f"features.{at}.expand1x1"] = (expanded, squeezed, 1, 1)
        shapes[f"features.{at}.expand3x3"] = (expanded, squeezed, 3, 3)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0])
    path = tmp_path_factory.mktemp("squeeze") / "trunk.safetensors"
    save_file(state, path)
    return SqueezeDistance(path)


def pictures(count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def literal_distance(network, generated, real):
    """The docstring's formula in float64 on the weights under their published names; pictures uint8 [H, W, 3]."""
    value = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}

    def convolved(x, name, stride=1, pad=0):
        weight, bias = value[f"features.{name}.weight"], value[f"features.{name}.bias"]
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (1, 2))[:, ::stride, ::stride]
        return np.maximum(np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None], 0)

    def halved(x):  # windows of 3 that start on every second place that exists, cut off at the far edges
        height, width = (-(-(side - 3) // 2) + 1 for side in x.shape[1:])
        return np.array([[x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2)) for j in range(width)]
                         for i in range(height)]).transpose(2, 0, 1)  # fmt: skip

    def layers(picture):
        x = picture[..., ::-1].astype(float) - [103.939, 116.779, 123.68]
        x = convolved(x.transpose(2, 0, 1), "0", stride=2)
        found = [x]
        for last in ((3, 4), (6, 7), (9, 10, 11, 12)):
            x = halved(x)
            for at in last:
                x = convolved(x, f"{at}.squeeze")
                x = np.concatenate([convolved(x, f"{at}.expand1x1"), convolved(x, f"{at}.expand3x3", pad=1)])
            found.append(x)
        return found

    means = []
    for a, b in zip(layers(generated), layers(real), strict=True):
        total = 0.0
        for y in range(a.shape[1]):
            for x in range(a.shape[2]):
                ours, theirs = (f[:, y, x] / np.sqrt((f[:, y, x] ** 2).sum() + 1) for f in (a, b))
                total += ((ours - theirs) ** 2).sum()
        means.append(total / (a.shape[1] * a.shape[2]))
    return sum(means) / 4


@pytest.mark.parametrize("height, width", [(40, 57), (64, 64), (33, 32)])
def test_distance_is_the_literal_formula_s(network, height, width):
    generated, real = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    expected = literal_distance(network, generated, real)
    assert expected > 0.01
    assert picture_distance(network, generated, real) == pytest.approx(expected, abs=1e-4)


def test_pictures_too_small_for_the_network_are_refused(network):
    small = np.zeros((20, 64, 3), np.uint8)
    with pytest.raises(InputError, match="32 pixels a side, not 64 x 20"):
        picture_distance(network, small, small)
    with pytest.raises(InputError, match="one size"):
        picture_distance(network, np.zeros((40, 40, 3), np.uint8), np.zeros((40, 42, 3), np.uint8))


def test_equal_pictures_are_no_distance_apart_and_more_noise_is_farther(network):
    real = pictures()
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(2))
    near, far = network(real + 0.02 * noise, real), network(real + 0.2 * noise, real)
    assert network(real, real).abs().max() == 0
    assert near.shape == (2,) and (0 < near).all() and (near < far).all() and (far < 2).all()
    assert torch.equal(near, network(real, real + 0.02 * noise))


def test_the_layers_are_those_of_squeezenet(network):
    features = network.unit_features(pictures(1, 128))
    assert [tuple(f.shape[1:]) for f in features] == [(64, 63, 63), (128, 31, 31), (256, 15, 15), (512, 7, 7)]
    assert all(f.square().sum(1).max() <= 1 and f.square().sum(1).mean() > 0.95 for f in features)


@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_are_finite_even_where_nothing_fires(network, bf16):
    real = pictures(2, 128)
    # With these inputs a quarter of the picture is the mean colour, hence zero for the network.
    real[..., :64, :64] = network._mean.flip(1).squeeze(0) / 255
    generated = real.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = network(generated, real.roll(3, -1)).mean() + network(generated, real).mean()
    loss.backward()
    assert loss.dtype == torch.float32 and generated.grad.isfinite().all() and generated.grad.abs().max() > 0
    assert all(p.grad is None for p in network.parameters())


def test_gradient_is_zero_not_nan_when_no_channel_fires(network):
    dead = network.features[0]
    bias, dead.bias.data = dead.bias.data, torch.full_like(dead.bias, -1e4)
    generated = pictures(1).requires_grad_()
    network(generated, pictures(1, 64).flip(-1)).sum().backward()
    dead.bias.data = bias
    assert generated.grad.abs().max() == 0  # relu lets nothing through, and the normalisation adds no 0 / 0


def test_boxes_are_measured_at_one_size(network):
    real = (pictures(1)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    generated = real.copy()
    generated[:10, :10] //= 2
    assert picture_distance(network, generated, real, (0, 0, 12, 8)) > 0.01
    assert picture_distance(network, generated, real, (20, 20, 40, 33)) == 0
    assert picture_distance(network, generated, real) > 0


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"no network")
    save_file({"a": torch.zeros(1)}, tmp_path / "y.safetensors")
    reasons = {"x": "not a safetensors file", "y": "not the weights of a SqueezeNet", "missing": "no such file"}
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=f"{name}.safetensors.* {reason}"):
            SqueezeDistance(tmp_path / f"{name}.safetensors")
