"""Which network L_per compares with."""

import sys

import pytest

from shared.errors import InputError
from shared.metrics import metric_networks
from shared.metrics.lpips import LPIPS
from stage2_render.training.perceptual_loss import perceptual_network


def test_none_and_a_file_that_is_missing(tmp_path):
    assert perceptual_network(None) is None
    with pytest.raises(InputError, match="nothing.safetensors"):
        perceptual_network(str(tmp_path / "nothing.safetensors"))


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_without_its_package_is_one_line(tmp_path, monkeypatch, net):
    monkeypatch.setattr(metric_networks, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf'lpips_{net}: needs the package lpips: pip install "fd2talk\[metrics\]"'):
        perceptual_network(f"lpips_{net}")
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(InputError, match="LPIPS needs the package lpips"):
        LPIPS(net, tmp_path / "trunk.pth")
