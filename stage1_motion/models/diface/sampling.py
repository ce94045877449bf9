"""Sampling of 3DiFACE: any length at once, in chunks that overlap so far that they equal one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shared.diffusion.sampling import make_schedule, sample
from shared.diffusion.solvers import DDIM, RENOISE, make_solver, solve
from shared.errors import UsageError
from stage1_motion.models.diface.network import Denoiser

_BLOCK = 256  # frames whose noise comes from one generator
_ONE_PASS = 6000  # frames that are sampled in one pass
_CHUNK = 2000
_LONGEST_MARGIN = 4000  # that of 500 steps of re-noising would be hours


@dataclass
class FrameNoise:
    """Standard normal noise that belongs to a frame: the same whichever chunk asks for it.

    Args:
        seed: of all of it.
        coordinates: per frame.
    """

    seed: int
    coordinates: int

    def __call__(self, draw: int, start: int, stop: int) -> Tensor:
        """Noise [1, stop - start, coordinates] of draw number `draw`: 0 is x_T, others are added back at the steps."""
        blocks = []
        for block in range(start // _BLOCK, -(-stop // _BLOCK)):
            state = np.random.SeedSequence([self.seed, draw, block]).generate_state(1, np.uint64)[0]
            generator = torch.Generator().manual_seed(int(state) >> 1)
            blocks.append(torch.randn(_BLOCK, self.coordinates, generator=generator))
        first = start // _BLOCK * _BLOCK
        return torch.cat(blocks)[None, start - first : stop - first]


def chunks(frames: int, size: int, margin: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Frames to keep (start, stop) and to compute (first, last) of every chunk.

    A chunk begins where the strides of the whole begin one, so that both halve time between the same frames.
    """
    size, margin = -(-size // stride) * stride, -(-margin // stride) * stride
    for start in range(0, frames, size):
        stop = min(start + size, frames)
        yield start, stop, max(0, start - margin), min(frames, stop + margin)


@torch.no_grad()
def generate(
    network: Denoiser,
    speech: Callable[[int, int], Tensor],
    frames: int,
    person: Tensor,
    *,
    steps: int,
    guidance_scale: float,
    seed: int,
    eta: float = 0.0,
    solver: str | None = None,
    replace: Callable[[Tensor, int, int], Tensor] | None = None,
    replace_reach: int = 0,
    one_pass: int = _ONE_PASS,
) -> Iterator[tuple[int, Tensor]]:
    """Displacements for speech of any length.

    Args:
        network: predicts x_0.
        speech: (start, stop) -> features [1, stop - start, S].
        frames: N.
        person: S_i, [1, C].
        steps: denoising steps.
        guidance_scale: s of eq. 3.
        seed: of the noise.
        eta: noise added back at each step, see `shared.diffusion.sampling.sample`.
        solver: "renoise" is eq. 2; others see `shared.diffusion.solvers.make_solver`.
        replace: (x_0 [1, n, 3 V (+ 6)], start, stop) -> x_0 in which given values stand for predicted ones (§6,
            "Motion Editing"); at every step, so that what is not given agrees with them.
        replace_reach: frames before and after a frame that its replacement depends on.
        one_pass: longer speech comes in chunks.

    Yields:
        First frame and x_0 [n, 3 V (+ 6)] of every chunk.

    Raises:
        UsageError: more steps than the network has noise levels, or no such solver.
    """
    config = network.config
    if steps > config.train_timesteps:
        raise UsageError(f"this network was trained with {config.train_timesteps} steps, {steps} are too many")
    schedule, noise = make_schedule(config.train_timesteps), FrameNoise(seed, config.coordinates)
    scheduler = None if solver in (None, DDIM, RENOISE) else make_solver(solver, config.train_timesteps)
    size = frames if frames <= one_pass else _CHUNK
    margin = 0 if frames <= one_pass else min(steps * (config.reach + replace_reach), _LONGEST_MARGIN)
    for start, stop, first, last in chunks(frames, size, margin, config.stride):
        heard = speech(first, last)

        def predict(x: Tensor, t: Tensor, first: int = first, last: int = last, heard: Tensor = heard) -> Tensor:
            clean = network.guided(x, t, heard, person, guidance_scale)
            return clean if replace is None else replace(clean, first, last)

        def draw(step: int, first: int = first, last: int = last) -> Tensor:
            return noise(step + 1, first, last).to(person.device)

        x = noise(0, first, last).to(person.device)
        if scheduler is None:
            x = sample(predict, x, schedule, steps, eta=eta, draw=draw, renoise=solver == RENOISE)
        else:
            x = solve(predict, x, scheduler, steps, generator=torch.Generator().manual_seed(seed))
        yield start, x[0, start - first : stop - first]
