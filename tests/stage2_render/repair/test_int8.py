"""The repair network with 8-bit convolutions against the same in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shared.errors import InputError, UsageError
from shared.weights import bundled
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair import int8
from stage2_render.repair.int8 import in_int8, observed
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.networks import RepairNetworks, load_network, save_network

needs_int8 = pytest.mark.skipif(not int8.works(), reason="no 8-bit convolutions of oneDNN here")
SMALL = RepairConfig(channels=(16, 16, 32), blocks=(1, 1, 2), heads=2)


def given(seed: int = 0, count: int = 3) -> list[torch.Tensor]:
    """Crops of the warp, their maps, a photo and its maps."""
    generator = torch.Generator().manual_seed(seed)
    of_frames = [torch.rand(count, *size, generator=generator) for size in ((3, 48, 64), (2, 24, 32))]
    of_photo = [torch.rand(1, *size, generator=generator) for size in ((3, 48, 64), (2, 24, 32))]
    return [2 * of_frames[0] - 1, of_frames[1], 2 * of_photo[0] - 1, of_photo[1]]


@pytest.fixture(scope="module")
def network() -> RepairNetwork:
    """One in which no branch is zero, with its ranges."""
    torch.manual_seed(1)
    network = RepairNetwork(SMALL).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    with observed(network) as ranges:
        for seed in range(3):
            network(*given(seed))
    network.ranges = ranges
    return network


def painted(network: RepairNetwork, values: list[torch.Tensor]) -> torch.Tensor:
    """Paint and cover, [B, 4, H, W]."""
    with torch.inference_mode():
        return torch.cat(network(*values), 1)


def test_ranges_are_of_what_enters_every_wide_convolution(network):
    wide = {name for name, one in network.named_modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)}
    assert set(network.ranges) == {name for name in wide if not name.startswith("photo_encoder")}
    assert network.ranges["encoder.conv_in"] == pytest.approx((-1, 1), abs=1e-3)
    for name, (low, high) in network.ranges.items():
        assert low <= 0 < high
        if name.rpartition(".")[2] in ("conv_1", "conv_2", "conv_out"):
            assert low > -0.279, "these see what SiLU returns"
    before = network.ranges
    painted(network, [100 * one for one in given()])
    assert network.ranges == before, "nothing is measured any more"


@needs_int8
def test_nearly_what_float32_paints(network):
    exact, rounded = painted(network, given(9)), painted(in_int8(network), given(9))
    error = (exact - rounded).std((0, 2, 3)) / exact.std((0, 2, 3))
    assert 1e-5 < error.max() < 0.03


@needs_int8
@pytest.mark.parametrize("changed", range(4), ids=["warp", "maps", "photo", "maps of the photo"])
def test_every_input_matters(network, changed):
    quantised, values = in_int8(network), given()
    before = painted(quantised, values)
    values[changed] = torch.zeros_like(values[changed])
    exact = painted(network, values) - painted(network, given())
    error = painted(quantised, values) - before - exact
    assert exact.std() > 1e-3 and error.std() < 0.15 * exact.std()


@needs_int8
def test_a_frame_does_not_depend_on_the_others_of_its_batch(network):
    warped, maps, photo, photo_maps = given(count=3)
    quantised = in_int8(network)
    together = painted(quantised, [warped, maps, photo, photo_maps])
    for index in range(3):
        alone = painted(quantised, [warped[index : index + 1], maps[index : index + 1], photo, photo_maps])
        torch.testing.assert_close(alone[0], together[index], atol=1e-5, rtol=0)


@needs_int8
@pytest.mark.parametrize("beyond", [-50.0, 50.0])
def test_values_beyond_the_range_are_cut_off(network, beyond):
    """They do not come out as small ones."""
    conv = network.encoder.downsamplers[0]
    low, high = network.ranges["encoder.downsamplers.0"]
    quantised = int8._Conv(conv, (low, high))
    values = torch.full((1, conv.in_channels, 8, 8), beyond)
    with torch.inference_mode():
        expected = conv(values.clamp(1.1 * low, 1.1 * high))
        torch.testing.assert_close(quantised(values), expected, atol=0.05 * float(expected.abs().max()), rtol=0)


@needs_int8
def test_ranges_of_another_network_are_refused(network):
    other = RepairNetwork(RepairConfig(channels=(16, 32), blocks=(1, 1)))
    other.ranges = network.ranges
    with pytest.raises(ValueError, match="ranges"):
        in_int8(other)


def test_a_version_of_torch_without_the_operations(monkeypatch):
    monkeypatch.setattr(int8, "_operations", lambda: torch.ops.there_are_none)
    assert not int8.works.__wrapped__()


def test_an_operation_that_computes_something_else_is_not_used(monkeypatch):
    class Wrong:
        @staticmethod
        def qconv_prepack(weight, *_):
            return weight

        @staticmethod
        def qconv2d_pointwise(values, *_):
            return values.float()

    monkeypatch.setattr(int8, "_operations", lambda: Wrong)
    assert not int8.works.__wrapped__()


def test_ranges_are_in_the_file(network, tmp_path):
    save_network(network, "mouth", tmp_path)
    loaded = load_network(tmp_path, "mouth")
    assert loaded.ranges == network.ranges
    save_network(RepairNetwork(SMALL), "mouth", tmp_path)
    assert load_network(tmp_path, "mouth").ranges == {}


def test_damaged_ranges(network, tmp_path):
    network_with = RepairNetwork(SMALL)
    network_with.ranges = {"conv_out": (0.0,)}  # type: ignore[dict-item]
    save_network(network_with, "mouth", tmp_path)
    with pytest.raises(InputError, match="not the weights of a repair network"):
        load_network(tmp_path, "mouth")


@pytest.mark.parametrize("vnni, expected", [(True, "int8"), (False, "float32")])
def test_automatic_where_the_processor_is_made_for_it(monkeypatch, vnni, expected):
    monkeypatch.setattr("shared.precision.has_fast_int8", lambda device: vnni)
    monkeypatch.setattr("shared.precision.has_fast_bf16", lambda device: False)
    monkeypatch.setattr("stage2_render.repair.networks.works", lambda: True)
    pipeline = RenderPipeline.from_pretrained()
    assert pipeline.resolved_precision == expected
    pipeline.networks.mouth.ranges = {}
    assert pipeline.resolved_precision == "float32"
    assert RenderPipeline.from_pretrained(precision="bf16").resolved_precision == "bf16"
    assert RenderPipeline.from_pretrained(renderer="geometry").resolved_precision == ""


def test_int8_that_is_not_possible(monkeypatch, tmp_path):
    network = load_network(bundled("repair"), "mouth")
    network.ranges = {}
    save_network(network, "mouth", tmp_path)
    with pytest.raises(InputError, match="ranges"):
        RenderPipeline.from_pretrained(tmp_path, precision="int8")
    with pytest.raises(UsageError, match="diffusion does not run in int8"):
        RenderPipeline.from_pretrained(renderer="diffusion", precision="int8")
    monkeypatch.setattr("stage2_render.repair.networks.works", lambda: False)
    with pytest.raises(UsageError, match="int8 does not work"):
        RenderPipeline.from_pretrained(precision="int8")
    assert not RepairNetworks.load(bundled("repair")).can_int8
