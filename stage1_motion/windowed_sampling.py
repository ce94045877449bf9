"""Speech of any length through a network of fixed windows, each continuing the clean tail of the one before."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from shared.diffusion.sampling import make_schedule, sample
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig

_FADE = 8.0  # frames in which a window's offset from the one before falls to a third


@torch.no_grad()
def generate_windows(
    network: MotionTransformer,
    speech: Tensor,
    *,
    steps: int,
    guidance_scale: float,
    generator: torch.Generator,
    carry_velocity: bool | Tensor = False,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """speech [T, S] -> learned-space motion [T, D]. `progress` is told how many frames are done.

    The last window is filled up with its last speech frame and cut again, so that every window has the trained length.
    Of the others the last frames, which did not see what comes next, are thrown away and generated again.
    carry_velocity: windows join in speed as well as in place; for what is heavy and slow, such as a head. A tensor
    [D] says for which coefficients.
    """
    config = network.config
    schedule = make_schedule(config.train_timesteps)
    frames = len(speech)
    done: Tensor = speech.new_zeros(0, config.coefficients)
    while len(done) < frames:
        context = min(config.context, len(done))
        start = len(done) - context
        window = speech[start : start + config.window]
        window = torch.cat([window, window[-1:].expand(config.window - len(window), -1)])[None]
        noise = torch.randn(1, config.window, config.coefficients, generator=generator).to(speech.device)
        values = torch.zeros_like(noise)
        values[0, :context] = done[start:]
        given = (torch.arange(config.window, device=speech.device) < context)[None, :, None]

        def predict(x: Tensor, timestep: Tensor, window: Tensor = window, given: Tensor = given) -> Tensor:
            return network.guided(x, timestep, window, given, guidance_scale)

        result = sample(predict, noise, schedule, steps, known=(values, given.expand_as(values)))
        end = frames - start if start + config.window >= frames else config.window - config.unsettled
        fresh = result[0, context:end]
        if context:  # what the network makes of the given frames differs a little from them: let that fade out
            after = torch.arange(1, len(fresh) + 1, device=fresh.device)[:, None]
            offset = done[-2:] - result[0, context - 2 : context]
            drift = carry_velocity * (after * (offset[1] - offset[0]))
            fresh = fresh + torch.exp(-after / _FADE) * (offset[1] + drift)
        done = torch.cat([done, fresh])
        if progress:
            progress(len(done))
    return done


def seams(config: MotionTransformerConfig, frames: int) -> list[int]:
    """First frame of every window but the first, in motion of so many frames: where a jump would show."""
    kept = config.window - config.unsettled
    later = max(0, math.ceil((frames - config.window) / (kept - config.context)))
    return [kept + index * (kept - config.context) for index in range(later)]
