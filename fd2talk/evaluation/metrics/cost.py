"""Cost of a system by stage: time, memory, parameters and floating-point operations."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fd2talk.evaluation.system_names import WITHOUT_NETWORKS, motion_weights, renderer_of
from shared.media import SAMPLE_RATE
from stage1_motion.pipeline import MotionPipeline
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.parts import MAPS, PARTS

# Length of the audio for which stage one's operations are counted: several windows of every network.
_SECONDS = 10


@dataclass(frozen=True)
class Timings:
    """Wall-clock time and memory of one generated video.

    Rendering and video encoding overlap; stage two is the time that rendering takes in addition. `ground-truth` encodes
    and decodes in stage two. Tracking of the reference does not count.

    Args:
        stage1: seconds of stage one.
        stage2: seconds of stage two: fitting the photo and rendering.
        writing: seconds of writing the files.
        frames: number of frames.
        memory: the process's peak memory so far in MiB (nan where the operating system does not report it).
    """

    stage1: float
    stage2: float
    writing: float
    frames: int
    memory: float


class Cost(NamedTuple):
    """A value for stage one and one for stage two."""

    stage1: float
    stage2: float


class Stopwatch:
    """Seconds by name: `with watch("stage1"): ...`, any number of times; a nested block pauses the outer one."""

    def __init__(self) -> None:
        self.seconds = {"stage1": 0.0, "stage2": 0.0, "writing": 0.0}
        self._running, self._since = "", 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the duration of the block."""
        before = self._switch(name)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, name: str) -> str:
        now, before = time.perf_counter(), self._running
        if before:
            self.seconds[before] += now - self._since
        self._running, self._since = name, now
        return before

    def timings(self, frames: int) -> Timings:
        """Return the times measured so far, for a video of so many frames."""
        return Timings(**self.seconds, frames=frames, memory=peak_memory())


def peak_memory() -> float:
    """Return the largest resident set of this process so far in MiB; nan on Windows, which does not report it."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere


class SystemNetworks:
    """The learned parts of a system: stage one, and the networks of stage two.

    Args:
        name: the system.
        weights: `bundled` or a folder of weights.
    """

    def __init__(self, name: str, weights: str = "bundled") -> None:
        folder = motion_weights(name, weights)
        self.stage1 = None if folder is None else MotionPipeline.from_pretrained(folder)
        renderer = "geometry" if name in WITHOUT_NETWORKS else renderer_of(name)
        networks = RenderPipeline.from_pretrained(weights, renderer=renderer).networks
        self._networks, self._coded = networks, name == "ground-truth"  # encoded and decoded, not generated
        self.stage2 = networks.autoencoder if self._coded and isinstance(networks, RenderNetworks) else networks

    def parameters(self) -> Cost:
        """Return the number of parameters that the system runs with; 0 for a stage without networks."""
        stages = (self.stage1, self.stage2)
        return Cost(*(float(sum(p.numel() for n in networks(stage) for p in n.parameters())) for stage in stages))

    def gflop_per_frame(self) -> Cost:
        """Return the networks' GFLOP per frame; a multiply-add is two operations.

        Stage one on ten seconds of noise, stage two on one frame. Filters, warps, Fourier transforms are not counted.
        """
        stage1 = _motion_gflop(self.stage1) if self.stage1 else 0.0
        if self._networks is None:
            return Cost(stage1, 0.0)
        if isinstance(self._networks, RepairNetworks):
            return Cost(stage1, _repair_gflop(self._networks))
        return Cost(stage1, (_autoencoder_gflop if self._coded else _rendering_gflop)(self._networks))


def networks(owner: Any, depth: int = 3) -> list[nn.Module]:
    """Return the networks among an object's attributes, directly or within `depth` levels of attributes."""
    if isinstance(owner, nn.Module):
        return [owner]
    if depth == 0 or not hasattr(owner, "__dict__"):
        return []
    return [network for value in vars(owner).values() for network in networks(value, depth - 1)]


@contextmanager
def count_flops() -> Iterator[FlopCounterMode]:
    """Count operations, with attention computed as two matrix products: the counter knows no fused kernels."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def _motion_gflop(pipeline: MotionPipeline) -> float:
    noise = np.random.default_rng(0).normal(0, 0.1, _SECONDS * SAMPLE_RATE).astype(np.float32)
    with count_flops() as counter:
        frames = len(pipeline(noise))
    return counter.get_total_flops() / frames / 1e9


def _repair_gflop(networks: RepairNetworks) -> float:
    """Of repairing all parts of a frame; what depends on the photo alone is computed once for a video."""
    gflop = 0.0
    for part in PARTS:
        picture = torch.zeros(1, 3, *part.size[::-1])
        maps = torch.zeros(1, MAPS, *part.map_size[::-1])
        features = networks[part].encode_photo(picture, maps)
        with count_flops() as counter:
            networks[part].repair(picture, maps, features)
        gflop += counter.get_total_flops() / 1e9
    return gflop


def _autoencoder_gflop(networks: RenderNetworks) -> float:
    """Of encoding and decoding a frame."""
    autoencoder, side = networks.autoencoder, networks.window[2]
    picture = torch.zeros(1, 3, side, side)
    reference = autoencoder.encode(picture)
    with count_flops() as counter:
        autoencoder.decode(reference, autoencoder.encode(picture))
    return counter.get_total_flops() / 1e9


def _rendering_gflop(networks: RenderNetworks) -> float:
    config = networks.unet.config
    latents = torch.zeros(1, config.latent_channels, config.size, config.size)
    coefficients, side = torch.zeros(1, config.coefficients), networks.window[2]
    with count_flops() as counter:
        reference = networks.encode_reference(torch.zeros(1, 3, side, side), coefficients)
        networks.generate(reference, coefficients, latents)
    return counter.get_total_flops() / 1e9
