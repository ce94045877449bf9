"""Speech of any length through a network of fixed windows, all of them at once: what editing needs.

`windowed_sampling` finishes a window before it begins the next one, so that a key right behind a border would not be
seen. Here the whole clip is denoised together (Bar-Tal et al. 2023, MultiDiffusion): at every step overlapping windows
of it are predicted in one batch and blended, and what is given of any window is seen in the next step by all that it
overlaps. No window continues another one: each is a first window.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shared.diffusion.sampling import make_schedule, sample
from shared.diffusion.solvers import DDIM, RENOISE, make_solver, solve
from shared.errors import UsageError
from stage1_motion.editing.replacement import Replacement
from stage1_motion.windowed_sampling import WindowConfig, WindowedNetwork

_BATCH = 64  # windows in one call of the network: an hour needs no more memory than a minute


@torch.no_grad()
def generate_jointly(
    network: WindowedNetwork,
    speech: Tensor,
    replace: Replacement,
    *,
    steps: int,
    guidance_scale: float,
    generator: torch.Generator,
    eta: float = 0.0,
    solver: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Motion for speech of any length, parts of which are given.

    A clip shorter than a window is padded by repeating its last speech frame, then cropped. Windows of which everything
    is given are left out.

    Args:
        network: predicts x_0 of a window.
        speech: [T, S].
        replace: puts what is given into x_0, at every step but the last.
        steps: as of `windowed_sampling.generate_windows`.
        guidance_scale: likewise.
        generator: likewise.
        eta: likewise.
        solver: likewise.
        progress: called with the number of frames done, T times the share of the steps.

    Returns:
        [T, D], in the motion space; of what is given, the network's own prediction where a window was predicted.

    Raises:
        UsageError: more steps than the network has noise levels, or no such solver.
    """
    config: WindowConfig = network.config
    if steps > config.train_timesteps:
        raise UsageError(f"this network was trained with {config.train_timesteps} steps, {steps} are too many")
    frames, size = len(speech), config.window_after(0)
    speech = torch.cat([speech, speech[-1:].expand(max(0, size - frames), -1)])  # [N, S]
    total = len(speech)
    open_frames = torch.ones(total, dtype=torch.bool)
    open_frames[: len(replace.complete)] = ~torch.from_numpy(replace.complete)
    open_frames[frames:] = False
    starts = sorted({*range(0, total - size, size // 2), total - size})
    starts = [start for start in starts if open_frames[start : start + size].any()]
    if not starts:
        return replace(speech.new_zeros(1, frames, config.coefficients))[0]
    index = torch.tensor(starts).view(-1, 1) + torch.arange(size)  # [W, F]
    index = index.to(speech.device)
    place = (torch.arange(size, device=speech.device) + 0.5) / size
    weights = torch.sin(torch.pi * place).square()[None, :, None].expand(len(starts), -1, -1)  # [W, F, 1]
    total_weight = speech.new_zeros(total, 1).index_add(0, index.flatten(), weights.reshape(-1, 1))  # [N, 1]
    calls = 0

    def predict(x: Tensor, timestep: Tensor) -> Tensor:
        nonlocal calls
        blended = torch.zeros_like(x[0])  # [N, D]
        for batch, weight in zip(index.split(_BATCH), weights.split(_BATCH)):
            windows = network.guided(
                x[0, batch], timestep.expand(len(batch)), speech[batch], None, guidance_scale
            )  # [W, F, D]
            blended.index_add_(0, batch.flatten(), (weight * windows).flatten(0, 1))
        calls += 1
        if progress:
            progress(min(frames, round(frames * calls / steps)))
        clean = blended / total_weight.clamp(min=1e-6)
        return torch.where(total_weight > 0, clean, replace(clean[None])[0])[None]

    noise = torch.randn(1, total, config.coefficients, generator=generator).to(speech.device)
    if solver in (None, DDIM, RENOISE):
        schedule = make_schedule(config.train_timesteps)
        result = sample(
            predict, noise, schedule, steps, eta=eta, generator=generator, replace=replace, renoise=solver == RENOISE
        )
    else:
        scheduler = make_solver(solver, config.train_timesteps)
        result = solve(predict, noise, scheduler, steps, generator=generator, replace=replace)
    return result[0, :frames]
