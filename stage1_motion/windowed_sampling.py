"""Speech of any length through a network of fixed windows, each continuing the clean tail of the one before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from shared.diffusion.sampling import make_schedule, sample
from shared.diffusion.solvers import DDIM, RENOISE, make_solver, solve
from shared.errors import UsageError

_FADE = 8.0  # frames in which a window's offset from the one before falls to 1/e


class WindowConfig(Protocol):
    """Sizes that windows need: all but the timesteps and the number of coefficients are counted in frames."""

    coefficients: int
    context: int
    lookahead: int
    train_timesteps: int

    def window_after(self, context: int) -> int:
        """Frames of a window whose first `context` are known: those of the window before."""
        ...


class WindowedNetwork(Protocol):
    """A diffusion network that predicts x_0 of a window, some of whose first frames are clean context."""

    config: Any  # a WindowConfig

    def guided(
        self, x: Tensor, timestep: Tensor, speech: Tensor, context_mask: Tensor | None, guidance_scale: float
    ) -> Tensor:
        """x_0 [B, F, D] under classifier-free guidance; see `MotionTransformer.guided`."""
        ...


@torch.no_grad()
def generate_windows(
    network: WindowedNetwork,
    speech: Tensor,
    *,
    steps: int,
    guidance_scale: float,
    generator: torch.Generator,
    eta: float = 0.0,
    solver: str | None = None,
    carry_velocity: bool | Tensor = False,
    tail: tuple[Tensor, Tensor] | None = None,
    beyond: Tensor | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Motion for speech of any length.

    The last window is padded with speech and then cropped, so that every window has the trained length. The last frames
    of the others, which lack the speech after them, are discarded and generated again.

    Args:
        network: predicts x_0 of a window.
        speech: [T, S], or [B, T, S] of several recordings of one length, or of one for several samples.
        steps: denoising steps, see `shared.diffusion.sampling.sample`.
        eta: noise added back at each step, likewise.
        solver: another sampler in its place, see `shared.diffusion.solvers.make_solver`.
        guidance_scale: of classifier-free guidance on speech; 1 is none.
        generator: on the CPU.
        carry_velocity: windows join in speed as well as in place; used for head pose. A tensor
            [D] says for which coefficients.
        tail: motion [C, D] and speech [C, S] of the frames before these, to be continued; not with a batch.
        beyond: speech [S] of every frame after the last; None: the last frame's own, over and over.
        progress: called with the number of frames done.

    Returns:
        [T, D], or [B, T, D], in the motion space.

    Raises:
        UsageError: more steps than the network has noise levels, or no such solver.
    """
    single = speech.ndim == 2
    speech = speech[None] if single else speech
    config: WindowConfig = network.config
    if steps > config.train_timesteps:
        raise UsageError(f"this network was trained with {config.train_timesteps} steps, {steps} are too many")
    schedule = make_schedule(config.train_timesteps)
    renoise = solver == RENOISE
    scheduler = None if solver in (None, DDIM, RENOISE) else make_solver(solver, config.train_timesteps)
    batch = len(speech)
    done: Tensor = speech.new_zeros(batch, 0, config.coefficients)
    if tail is not None:
        done, before = (v[None, -config.context :].to(speech) if config.context else v[None, :0] for v in tail)
        speech = torch.cat([before, speech], dim=1)  # [1, C + T, S]
    frames, known = speech.shape[1], done.shape[1]
    while done.shape[1] < frames:
        context = min(config.context, done.shape[1])
        start = done.shape[1] - context
        size = config.window_after(context)
        window = speech[:, start : start + size]
        after_it = window[:, -1:] if beyond is None else beyond.to(window).expand(batch, 1, -1)  # [B, 1, S]
        window = torch.cat([window, after_it.expand(-1, size - window.shape[1], -1)], dim=1)  # [B, F, S]
        noise = torch.randn(batch, size, config.coefficients, generator=generator).to(speech.device)
        values = torch.zeros_like(noise)
        values[:, :context] = done[:, start:]
        mask = (torch.arange(size, device=speech.device) < context)[None, :, None].expand(batch, -1, -1)

        def predict(x: Tensor, timestep: Tensor, window: Tensor = window, mask: Tensor = mask) -> Tensor:
            return network.guided(x, timestep, window, mask, guidance_scale)

        clean = (values, mask.expand_as(values))
        if scheduler is None:
            result = sample(  # [B, F, D]
                predict, noise, schedule, steps, eta=eta, generator=generator, known=clean, renoise=renoise
            )
        else:
            result = solve(predict, noise, scheduler, steps, generator=generator, known=clean)
        end = frames - start if start + size >= frames else size - config.lookahead
        fresh = result[:, context:end]
        if context:  # the predicted context differs a little from the true one: let the offset decay
            after = torch.arange(1, fresh.shape[1] + 1, device=fresh.device)[:, None]
            offset = done[:, -2:] - result[:, max(context - 2, 0) : context]  # [B, 2, D], or [B, 1, D] of one frame
            drift = carry_velocity * (after * (offset[:, -1:] - offset[:, :1]))
            fresh = fresh + torch.exp(-after / _FADE) * (offset[:, -1:] + drift)
        done = torch.cat([done, fresh], dim=1)
        if progress:
            progress(done.shape[1] - known)
    return done[0, known:] if single else done[:, known:]


def seams(config: WindowConfig, frames: int) -> list[int]:
    """First frame of every window but the first, in motion of so many frames: where a jump would show."""
    first = config.window_after(0) - config.lookahead
    each = config.window_after(config.context) - config.lookahead - config.context
    later = max(0, math.ceil((frames - first - config.lookahead) / each))
    return [first + index * each for index in range(later)]
