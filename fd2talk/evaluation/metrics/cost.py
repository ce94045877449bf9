"""What a system costs: seconds, memory, parameters and floating-point operations, stage by stage."""

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

from shared.media import SAMPLE_RATE
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.diffusion.face_crop import SIZE
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.pipeline import RenderPipeline

NO_PAINTER = ("static", "warp")
"""Systems whose pictures no network paints."""

# Speech over which stage one's operations are counted: several windows of every network.
_SECONDS = 10


@dataclass(frozen=True)
class Timings:
    """One video: wall-clock seconds of stage one, of stage two (fitting the photo and painting) and of writing the
    files; its frames; the process's peak memory so far in MiB (nan where the system does not tell).

    Painting goes on while a frame is being encoded; stage two is what is waited for beside that. `ground-truth` tracks
    in stage one, and encodes and decodes in stage two.
    """

    stage1: float
    stage2: float
    writing: float
    frames: int
    memory: float


class Cost(NamedTuple):
    """A figure of stage one and of stage two."""

    stage1: float
    stage2: float


class Stopwatch:
    """Seconds by name: `with watch("stage1"): ...`, any number of times; inside a block another may take over."""

    def __init__(self) -> None:
        self.seconds = {"stage1": 0.0, "stage2": 0.0, "writing": 0.0}
        self._running, self._since = "", 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the seconds that the block takes."""
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
        """What has been measured, of a video of so many frames."""
        return Timings(**self.seconds, frames=frames, memory=peak_memory())


def peak_memory() -> float:
    """Largest resident set of this process so far, MiB; nan on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere


class Learned:
    """What of the system `name` is learned, loaded once: stage one, and the networks of stage two."""

    def __init__(self, name: str, weights: str = "bundled") -> None:
        speech = motion_weights(name, weights)
        self.stage1 = None if speech is None else MotionPipeline.from_pretrained(speech)
        painter = None if name in NO_PAINTER else RenderPipeline.from_pretrained(weights).networks
        self._decodes = name == "ground-truth"
        self.stage2 = painter.autoencoder if self._decodes else painter

    def parameters(self) -> Cost:
        """Numbers in the networks that the system runs; each stage 0 where it has none."""
        stages = (self.stage1, self.stage2)
        return Cost(*(float(sum(p.numel() for n in networks(stage) for p in n.parameters())) for stage in stages))

    def gflop_per_frame(self) -> Cost:
        """Billions of floating-point operations of the networks per frame, two for a multiplication with an addition.

        Stage one on ten seconds of noise, stage two on one frame. Filters, warps, Fourier transforms are not counted.
        """
        count = _of_autoencoder if self._decodes else _of_painting
        return Cost(_of_motion(self.stage1) if self.stage1 else 0.0, count(self.stage2) if self.stage2 else 0.0)


def networks(thing: Any, depth: int = 3) -> list[nn.Module]:
    """The networks that an object holds, or that what it holds holds."""
    if isinstance(thing, nn.Module):
        return [thing]
    if depth == 0 or not hasattr(thing, "__dict__"):
        return []
    return [network for value in vars(thing).values() for network in networks(value, depth - 1)]


def motion_weights(name: str, weights: str) -> str | None:
    """The folder of the motion model that a system runs; None: it has none."""
    if name in ("static", "ground-truth"):
        return None
    return str(bundled("ridge")) if name == "ridge" else weights


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Count operations. The counter knows attention only as the two products that it is made of."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def _of_motion(pipeline: MotionPipeline) -> float:
    noise = np.random.default_rng(0).normal(0, 0.1, _SECONDS * SAMPLE_RATE).astype(np.float32)
    with counted() as counter:
        frames = len(pipeline(noise))
    return counter.get_total_flops() / frames / 1e9


def _of_autoencoder(painter: nn.Module) -> float:
    """A frame encoded and decoded."""
    picture = torch.zeros(1, 3, SIZE, SIZE)
    reference = painter.encode(picture)
    with counted() as counter:
        painter.decode(reference, painter.encode(picture))
    return counter.get_total_flops() / 1e9


def _of_painting(painter: RenderNetworks) -> float:
    config = painter.unet.config
    latents = torch.zeros(1, config.latent_channels, config.size, config.size)
    with counted() as counter:
        painter.repair(
            torch.zeros(1, 3, SIZE, SIZE),
            latents,
            torch.zeros(1, config.maps, 2 * config.size, 2 * config.size),
            torch.zeros(1, config.coefficients),
            latents,
            detail=painter.autoencoder.transfers_detail,
        )
    return counter.get_total_flops() / 1e9
