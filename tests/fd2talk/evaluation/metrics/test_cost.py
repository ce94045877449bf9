"""Cost of systems."""

import sys

import numpy as np
import pytest
import torch

from fd2talk.evaluation.metrics import cost
from fd2talk.evaluation.system_names import SYSTEMS, WITH_DIFFUSION


def test_a_stopwatch_counts_each_second_once(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 6.0])
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    watch = cost.Stopwatch()
    with watch("writing"), watch("stage2"):
        pass
    assert watch.seconds == {"stage1": 0.0, "stage2": 2.0, "writing": 1.0 + 3.0}


def test_cost_counts_the_networks_that_a_system_runs(renderer_weights, monkeypatch):
    from stage2_render.diffusion.render_model import RenderNetworks

    monkeypatch.setattr(cost, "_SECONDS", 2)

    renderer = RenderNetworks.load(renderer_weights / "diffusion")
    own = dict.fromkeys(WITH_DIFFUSION, str(renderer_weights))
    networks = {name: cost.SystemNetworks(name, own.get(name, "bundled")) for name in SYSTEMS}
    sizes = {name: one.parameters() for name, one in networks.items()}
    assert sizes["driven-diffusion"] == (0, sum(p.numel() for p in renderer.parameters()))
    assert sizes["ground-truth"] == (0, sum(p.numel() for p in renderer.autoencoder.parameters()))
    assert sizes["shuffled-audio"] == sizes["bundled"] and sizes["static"] == (0, 0)
    assert sizes["warp"] == (sizes["bundled"].stage1, 0)
    assert sizes["ridge"] == (841 * 70, sizes["bundled"].stage2)
    work = {name: one.gflop_per_frame() for name, one in networks.items() if name != "shuffled-audio"}
    assert work["ridge"].stage1 == pytest.approx(2 * 840 * 70 / 1e9)
    assert work["warp"] == (work["bundled"].stage1, 0) and work["static"] == (0, 0)
    assert work["ground-truth"].stage2 > 0 < work["driven-diffusion"].stage2
    assert 0.01 < work["bundled"].stage1 < 1
    # Two convolutions of the mouth's first block alone, at half of 160 x 128 pixels.
    assert 2 * 2 * 9 * 32 * 32 * 80 * 64 / 1e9 < work["driven"].stage2 < 5


def test_the_counter_counts_a_known_network():
    """Attention too: two products of [4, 8] and [8, 4] each, for each of two heads."""
    from stage1_motion.models.fd2talk.network import Attention

    network = Attention(16, 2)
    x = torch.zeros(1, 4, 16)
    with cost.count_flops() as counter:
        network(x, x)
    assert counter.get_total_flops() == 2 * (4 * 16 * 16 * 4) + 2 * 2 * 2 * (4 * 8 * 4)


def test_memory_is_unknown_on_some_systems(monkeypatch):
    assert 50 < cost.peak_memory() < 1e6
    monkeypatch.setitem(sys.modules, "resource", None)
    assert np.isnan(cost.peak_memory())
