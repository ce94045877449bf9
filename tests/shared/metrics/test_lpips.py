"""LPIPS, where the package lpips is installed, against a literal loop, with a random trunk in the published layout."""

import numpy as np
import pytest
import torch

from shared.errors import InputError
from shared.metrics.lpips import LPIPS

lpips = pytest.importorskip("lpips", reason="the package lpips is not installed (extra: metrics)", exc_type=ImportError)

# Convolutions of the published trunks: index in `features`, channels out and in, kernel, stride, padding.
ALEX = [(0, 64, 3, 11, 4, 2), (3, 192, 64, 5, 1, 2), (6, 384, 192, 3, 1, 1), (8, 256, 384, 3, 1, 1)]
ALEX += [(10, 256, 256, 3, 1, 1)]
VGG = [(0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128), (10, 256, 128), (12, 256, 256), (14, 256, 256)]
VGG += [(17, 512, 256), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)]
VGG = [(*entry, 3, 1, 1) for entry in VGG]
CONVOLUTIONS = {"alex": ALEX, "vgg": VGG}
POOLS = {"alex": {2: 3, 5: 3}, "vgg": {4: 2, 9: 2, 16: 2, 23: 2}}  # index: window; all move by 2
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}  # relu1 .. relu5; relu1_2, 2_2, 3_3, 4_3, 5_3


@pytest.fixture(scope="module", params=["alex", "vgg"])
def weights(request, tmp_path_factory):
    """(net, trunk's path, all tensors)"""
    net, random = request.param, torch.Generator().manual_seed(0)
    trunk = {"classifier.6.bias": torch.zeros(10)}  # the published files hold a classifier too
    for index, outputs, inputs, kernel, *_ in CONVOLUTIONS[net]:
        scale = (2 / (inputs * kernel**2)) ** 0.5
        trunk[f"features.{index}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=random) * scale
        trunk[f"features.{index}.bias"] = torch.randn(outputs, generator=random) * 0.1
    path = tmp_path_factory.mktemp(net) / "trunk.pth"
    torch.save(trunk, path)
    linear = {n: v for n, v in lpips.LPIPS(net=net, pnet_rand=True, verbose=False).state_dict().items() if "lin" in n}
    return net, path, trunk | linear


@pytest.fixture(scope="module")
def network(weights):
    return LPIPS(weights[0], weights[1])


def pictures(count=2, height=48, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def literal_layers(net, tensors, picture):
    """uint8 [H, W, 3] -> what the ReLUs at the taps give, float64 [C, h, w], window by window."""
    x = np.moveaxis(picture.astype(np.float64), -1, 0) / 255 * 2 - 1
    shift, scale = (np.array(v)[:, None, None] for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    x, layers = (x - shift) / scale, []
    steps = {index: rest for index, *rest in CONVOLUTIONS[net]}
    for index in range(TAPS[net][-1] + 1):
        if index in steps:
            _, _, kernel, stride, pad = steps[index]
            weight, bias = (tensors[f"features.{index}.{part}"].double().numpy() for part in ("weight", "bias"))
            x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
            windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))[:, ::stride, ::stride]
            x = np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]
        elif index in POOLS[net]:
            side = POOLS[net][index]
            x = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::2, ::2].max((3, 4))
        else:
            x = np.maximum(x, 0)
        if index in TAPS[net]:
            layers.append(x)
    return layers


def literal_distance(net, tensors, generated, real):
    total = 0.0
    for i, (a, b) in enumerate(zip(literal_layers(net, tensors, generated), literal_layers(net, tensors, real))):
        weight = tensors[f"lin{i}.model.1.weight"].double().flatten().numpy()
        height, width = a.shape[1:]
        of_layer = 0.0
        for y in range(height):
            for x in range(width):
                ours = a[:, y, x] / (np.sqrt((a[:, y, x] ** 2).sum()) + 1e-10)
                theirs = b[:, y, x] / (np.sqrt((b[:, y, x] ** 2).sum()) + 1e-10)
                of_layer += (weight * (ours - theirs) ** 2).sum()
        total += of_layer / (height * width)
    return total


def test_distance_is_the_literal_loop_s(network, weights):
    generated, real = pictures(), pictures(seed=1)
    found = network.distances(generated, real)
    assert found.shape == (2,) and found.dtype == np.float32
    for index in range(2):
        expected = literal_distance(weights[0], weights[2], generated[index], real[index])
        assert expected > 0.01
        assert found[index] == pytest.approx(expected, rel=1e-4)
        assert network.distance(generated[index], real[index]) == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_are_no_distance_apart_and_more_noise_is_farther(network):
    real = pictures(1)[0] // 2 + 60
    noise = np.random.default_rng(2).normal(size=real.shape)
    near, far = (np.clip(real + noise * size, 0, 255).astype(np.uint8) for size in (4, 40))
    assert network.distance(real, real) == 0
    assert 0 < network.distance(near, real) < network.distance(far, real)
    assert network.distance(near, real) == pytest.approx(network.distance(real, near), rel=1e-5)
    assert np.isfinite(network.distance(np.zeros_like(real), real))


def test_boxes_are_measured_at_one_size(network):
    real = pictures(1)[0]
    generated = real.copy()
    generated[:10, :10] //= 2
    assert network.distance(generated, real, (0, 0, 12, 8)) > 0.01
    assert network.distance(generated, real, (20, 20, 40, 33)) == 0
    generated, real = (np.kron(picture[:32, :32], np.ones((4, 4, 1), np.uint8)) for picture in (generated, real))
    whole = network.distance(generated, real)
    assert network.distance(generated, real, (0, 0, 128, 128)) == pytest.approx(whole)  # already of that size


@pytest.mark.parametrize(
    ("generated", "real"),
    [
        (pictures(1)[0], pictures(1)[0][:40]),
        (pictures(1)[0] / 255, pictures(1)[0] / 255),
        (pictures(1, 31, 40)[0], pictures(1, 31, 40)[0]),
        (pictures(1)[0][..., :1], pictures(1)[0][..., :1]),
    ],
    ids=["shapes", "float", "small", "grey"],
)
def test_other_pictures_are_refused(network, generated, real):
    with pytest.raises(InputError, match="LPIPS needs"):
        network.distance(generated, real)


def test_the_least_size_works(network):
    assert network.distance(pictures(1, 32, 32)[0], pictures(1, 32, 32, seed=1)[0]) > 0


def test_files_of_another_network_are_one_line(weights, tmp_path):
    net, trunk, tensors = weights
    other = "vgg" if net == "alex" else "alex"
    with pytest.raises(InputError, match=r"trunk.pth: not torchvision's .* \(tensors of other shapes\)"):
        LPIPS(other, trunk)
    with pytest.raises(InputError, match="it is a folder"):
        LPIPS(net, tmp_path)
    torch.save({name: value for name, value in tensors.items() if "lin" in name}, tmp_path / "linear.pth")
    with pytest.raises(InputError, match=r"linear.pth: not torchvision's .* is missing\)"):
        LPIPS(net, tmp_path / "linear.pth")
    torch.save(tensors | {"features.99.bias": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(InputError, match="features.99.bias is not one of its tensors"):
        LPIPS(net, tmp_path / "more.pth")


def test_can_be_a_loss(network):
    """eq. 14: a finite gradient to the images alone, also where no feature answers; a step against it comes nearer."""
    real = torch.from_numpy(pictures(1, seed=1)).permute(0, 3, 1, 2) / 255
    generated = (torch.from_numpy(pictures(1)).permute(0, 3, 1, 2) / 255).requires_grad_()
    loss = network(generated, real).mean()
    loss.backward()
    assert torch.isfinite(generated.grad).all() and generated.grad.abs().sum() > 0
    nearer = generated.detach() - 0.2 * generated.grad / generated.grad.abs().max()
    assert network(nearer, real).mean() < loss
    assert not any(parameter.requires_grad for parameter in network.parameters())
    flat = torch.zeros(1, 3, 48, 40, requires_grad=True)
    network(flat, real).mean().backward()
    assert torch.isfinite(flat.grad).all()
