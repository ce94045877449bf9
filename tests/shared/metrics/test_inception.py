"""Inception-v3 against a literal table and formulas."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.fid import frechet_distance
from shared.metrics.inception import Inception

# Every convolution of the published file: channels out, in, height, width of the kernel. In the blocks that are there
# several times N stands for the channels that come in, P for those of the pool, M for those within the 7 x 7.
STEM = "Conv2d_1a_3x3 32 3 3 3, Conv2d_2a_3x3 32 32 3 3, Conv2d_2b_3x3 64 32 3 3, Conv2d_3b_1x1 80 64 1 1"
STEM += ", Conv2d_4a_3x3 192 80 3 3"
A = "branch1x1 64 N 1 1, branch5x5_1 48 N 1 1, branch5x5_2 64 48 5 5, branch3x3dbl_1 64 N 1 1"
A += ", branch3x3dbl_2 96 64 3 3, branch3x3dbl_3 96 96 3 3, branch_pool P N 1 1"
B = "branch3x3 384 288 3 3, branch3x3dbl_1 64 288 1 1, branch3x3dbl_2 96 64 3 3, branch3x3dbl_3 96 96 3 3"
C = "branch1x1 192 768 1 1, branch7x7_1 M 768 1 1, branch7x7_2 M M 1 7, branch7x7_3 192 M 7 1, branch_pool 192 768 1 1"
C += ", branch7x7dbl_1 M 768 1 1, branch7x7dbl_2 M M 7 1, branch7x7dbl_3 M M 1 7, branch7x7dbl_4 M M 7 1"
C += ", branch7x7dbl_5 192 M 1 7"
D = "branch3x3_1 192 768 1 1, branch3x3_2 320 192 3 3, branch7x7x3_1 192 768 1 1, branch7x7x3_2 192 192 1 7"
D += ", branch7x7x3_3 192 192 7 1, branch7x7x3_4 192 192 3 3"
E = "branch1x1 320 N 1 1, branch3x3_1 384 N 1 1, branch3x3_2a 384 384 1 3, branch3x3_2b 384 384 3 1"
E += ", branch3x3dbl_1 448 N 1 1, branch3x3dbl_2 384 448 3 3, branch3x3dbl_3a 384 384 1 3, branch3x3dbl_3b 384 384 3 1"
E += ", branch_pool 192 N 1 1"
MIXED = {"5b": (A, {"N": 192, "P": 32}), "5c": (A, {"N": 256, "P": 64}), "5d": (A, {"N": 288, "P": 64}), "6a": (B, {})}
MIXED |= {"6b": (C, {"M": 128}), "6c": (C, {"M": 160}), "6d": (C, {"M": 160}), "6e": (C, {"M": 192}), "7a": (D, {})}
MIXED |= {"7b": (E, {"N": 1280}), "7c": (E, {"N": 2048})}


def published_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {}
    for prefix, table, letters in [("", STEM, {})] + [(f"Mixed_{n}.", *block) for n, block in MIXED.items()]:
        for entry in table.split(", "):
            name, *kernel = entry.split()
            kernel = tuple(int(letters.get(size, size)) for size in kernel)
            shapes[f"{prefix}{name}.conv.weight"] = kernel
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{prefix}{name}.bn.{part}"] = kernel[:1]
    return shapes | {"fc.weight": (1008, 2048), "fc.bias": (1008,)}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in published_shapes().items():
        if name.endswith("running_var"):
            tensors[name] = torch.rand(shape, generator=random) + 0.5
        elif name.endswith("bn.weight"):
            tensors[name] = torch.rand(shape, generator=random) * 0.5 + 0.75
        else:
            scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
            tensors[name] = torch.randn(shape, generator=random) * scale
    return tensors


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def network(checkpoint):
    return Inception.load(checkpoint)


def pictures(count, height, width, seed=0):
    """Smooth colours, not noise alone: what resizing does to them can be seen."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((count, 3, 5, 6)))
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic").permute(0, 2, 3, 1).numpy()
    return np.clip(smooth * 255 + random.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


def test_names_and_shapes_are_the_published_ones():
    ours = {n: tuple(t.shape) for n, t in Inception().state_dict().items() if not n.endswith("num_batches_tracked")}
    assert ours == published_shapes() and len(ours) == 94 * 5 + 2
    # torchvision's Inception-v3 without its auxiliary classifier has 23,834,568 parameters, for 1000 classes.
    assert sum(np.prod(s) for n, s in ours.items() if "running" not in n) == 23_834_568 + 8 * 2049


class Literal:
    """Inception-v3 as a list of formulas on the published tensors."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, stride=1, pad=(0, 0)):
        part = {key: self.state[f"{name}.{key}"] for key in ("conv.weight", "bn.weight", "bn.bias")}
        mean, var = self.state[f"{name}.bn.running_mean"], self.state[f"{name}.bn.running_var"]
        x = F.conv2d(x, part["conv.weight"], stride=stride, padding=pad)
        x = (x - mean[:, None, None]) / torch.sqrt(var + 1e-3)[:, None, None]
        return (x * part["bn.weight"][:, None, None] + part["bn.bias"][:, None, None]).clamp(min=0)

    def chain(self, block, x, *steps):
        for name, *pad in steps:
            x = self.conv(f"{block}.{name}", x, pad=tuple(pad) or (0, 0))
        return x

    @staticmethod
    def average(x):
        """The mean of those of the nine neighbours that lie inside."""
        ones = torch.ones_like(x[:1, :1])
        total, count = 0, 0
        for picture, is_count in ((x, False), (ones, True)):
            padded = F.pad(picture, (1, 1, 1, 1))
            h, w = x.shape[2:]
            summed = sum(padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3))
            total, count = (total, summed) if is_count else (summed, count)
        return total / count

    @staticmethod
    def maximum(x):
        padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
        h, w = x.shape[2:]
        return torch.stack([padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]).amax(0)

    @staticmethod
    def halve(x):
        h, w = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
        shifted = [x[:, :, i : i + 2 * h - 1 : 2, j : j + 2 * w - 1 : 2] for i in range(3) for j in range(3)]
        return torch.stack(shifted).amax(0)

    def a(self, n, x):
        five = self.chain(n, x, ("branch5x5_1",), ("branch5x5_2", 2, 2))
        three = self.chain(n, x, ("branch3x3dbl_1",), ("branch3x3dbl_2", 1, 1), ("branch3x3dbl_3", 1, 1))
        pool = self.conv(f"{n}.branch_pool", self.average(x))
        return torch.cat([self.conv(f"{n}.branch1x1", x), five, three, pool], 1)

    def b(self, n, x):
        double = self.chain(n, x, ("branch3x3dbl_1",), ("branch3x3dbl_2", 1, 1))
        double = self.conv(f"{n}.branch3x3dbl_3", double, stride=2)
        return torch.cat([self.conv(f"{n}.branch3x3", x, stride=2), double, self.halve(x)], 1)

    def c(self, n, x):
        single = self.chain(n, x, ("branch7x7_1",), ("branch7x7_2", 0, 3), ("branch7x7_3", 3, 0))
        names = [f"branch7x7dbl_{i}" for i in range(1, 6)]
        pads = [(0, 0), (3, 0), (0, 3), (3, 0), (0, 3)]
        double = self.chain(n, x, *((name, *pad) for name, pad in zip(names, pads)))
        pool = self.conv(f"{n}.branch_pool", self.average(x))
        return torch.cat([self.conv(f"{n}.branch1x1", x), single, double, pool], 1)

    def d(self, n, x):
        three = self.conv(f"{n}.branch3x3_2", self.conv(f"{n}.branch3x3_1", x), stride=2)
        seven = self.chain(n, x, ("branch7x7x3_1",), ("branch7x7x3_2", 0, 3), ("branch7x7x3_3", 3, 0))
        return torch.cat([three, self.conv(f"{n}.branch7x7x3_4", seven, stride=2), self.halve(x)], 1)

    def e(self, n, x, pool):
        single = self.conv(f"{n}.branch3x3_1", x)
        double = self.chain(n, x, ("branch3x3dbl_1",), ("branch3x3dbl_2", 1, 1))
        parts = [self.conv(f"{n}.branch1x1", x)]
        parts += [self.conv(f"{n}.branch3x3_2{k}", single, pad=p) for k, p in (("a", (0, 1)), ("b", (1, 0)))]
        parts += [self.conv(f"{n}.branch3x3dbl_3{k}", double, pad=p) for k, p in (("a", (0, 1)), ("b", (1, 0)))]
        return torch.cat([*parts, self.conv(f"{n}.branch_pool", pool(x))], 1)

    def __call__(self, x):
        x = self.conv("Conv2d_2a_3x3", self.conv("Conv2d_1a_3x3", x, stride=2))
        x = self.conv("Conv2d_3b_1x1", self.halve(self.conv("Conv2d_2b_3x3", x, pad=(1, 1))))
        x = self.halve(self.conv("Conv2d_4a_3x3", x))
        x = self.a("Mixed_5d", self.a("Mixed_5c", self.a("Mixed_5b", x)))
        x = self.c("Mixed_6c", self.c("Mixed_6b", self.b("Mixed_6a", x)))
        x = self.d("Mixed_7a", self.c("Mixed_6e", self.c("Mixed_6d", x)))
        x = self.e("Mixed_7c", self.e("Mixed_7b", x, self.average), self.maximum)
        return x.mean((2, 3))


BLOCKS = [
    ("Mixed_5b", 192, lambda literal, x: literal.a("Mixed_5b", x)),
    ("Mixed_6a", 288, lambda literal, x: literal.b("Mixed_6a", x)),
    ("Mixed_6b", 768, lambda literal, x: literal.c("Mixed_6b", x)),
    ("Mixed_7a", 768, lambda literal, x: literal.d("Mixed_7a", x)),
    ("Mixed_7b", 1280, lambda literal, x: literal.e("Mixed_7b", x, literal.average)),
    ("Mixed_7c", 2048, lambda literal, x: literal.e("Mixed_7c", x, literal.maximum)),
]


@pytest.mark.parametrize(("name", "channels", "literal"), BLOCKS, ids=[name for name, *_ in BLOCKS])
def test_every_kind_of_block_is_its_formula(network, state, name, channels, literal):
    x = torch.randn(2, channels, 9, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, formula = network.get_submodule(name)(x), literal(Literal(state), x)
    assert ours.shape == formula.shape and formula.std() > 0.1
    assert torch.allclose(ours, formula, rtol=1e-4, atol=1e-4)


def test_features_are_the_literal_network_s(network, state):
    generated = pictures(2, 120, 90)
    x = torch.from_numpy(generated).permute(0, 3, 1, 2).float() / 255
    rows, columns = ((torch.arange(299) + 0.5) * side / 299 - 0.5 for side in x.shape[2:])  # pixel centres
    for axis, at in ((2, rows), (3, columns)):
        at = at.clamp(0, x.shape[axis] - 1)
        low = at.floor().long()
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        weight = (at - low).view((-1, 1) if axis == 2 else (1, -1))
        x = x.index_select(axis, low) * (1 - weight) + x.index_select(axis, high) * weight
    expected = Literal(state)(2 * x - 1).numpy()
    found = network.features(generated)
    assert found.shape == (2, 2048) and found.dtype == np.float32 and expected.std() > 0.1
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_other_files_are_one_line(checkpoint, state, tmp_path):
    def refused(content, why):
        path = tmp_path / "other.pth"
        torch.save(content, path) if not isinstance(content, bytes) else path.write_bytes(content)
        with pytest.raises(InputError, match=why) as error:
            Inception.load(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)

    refused(b"not a checkpoint at all", "not a PyTorch file")
    refused(checkpoint.read_bytes()[:100_000], "not a PyTorch file")
    refused({"state_dict": {}}, "not a PyTorch file")
    refused({"features.0.weight": torch.zeros(3)}, "not the Inception-v3 of pytorch-fid .Conv2d_1a_3x3.* is missing")
    refused({**state, "AuxLogits.fc.bias": torch.zeros(1)}, "AuxLogits.fc.bias is not one of its tensors")
    refused({**state, "fc.weight": torch.zeros(1000, 2048)}, "other shapes")  # torchvision's own Inception
    with pytest.raises(InputError, match="there is no such file"):
        Inception.load(tmp_path / "missing.pth")


@pytest.mark.parametrize(
    "images", [np.zeros((1, 9, 9, 3), np.float32), np.zeros((9, 9, 3), np.uint8), np.zeros((0, 9, 9, 3), np.uint8)]
)
def test_features_of_other_arrays_are_refused(network, images):
    with pytest.raises(InputError, match="images must be uint8"):
        network.features(images)


@pytest.mark.slow
def test_agrees_with_pytorch_fid(network, checkpoint, monkeypatch):
    reference = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    scores = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    monkeypatch.setattr(reference, "load_state_dict_from_url", lambda *_, **__: torch.load(checkpoint))
    theirs = reference.InceptionV3().eval()
    generated, real = pictures(12, 120, 90), pictures(12, 120, 90, seed=1)
    with torch.no_grad():
        other = theirs(torch.from_numpy(generated).permute(0, 3, 1, 2).float() / 255)[0][:, :, 0, 0].numpy()
    ours = network.features(generated)
    assert np.abs(ours - other).max() < 1e-4 * np.abs(other).max()
    a, b = ours[:, :8], network.features(real)[:, :8]
    moments = (np.mean(a, 0), np.cov(a, rowvar=False), np.mean(b, 0), np.cov(b, rowvar=False))
    assert frechet_distance(a, b) == pytest.approx(scores.calculate_frechet_distance(*moments), rel=1e-4)
