"""Noising and sampling of networks that predict the clean signal (FD2Talk eq. 2, 3 and 5), on diffusers' DDIM."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDIMScheduler
from torch import Tensor


def make_scheduler(train_timesteps: int = 1000) -> DDIMScheduler:
    """x0-prediction over a cosine schedule that ends in pure noise (zero terminal SNR, Lin et al. 2024), so that
    sampling in few steps starts where training ended."""
    return DDIMScheduler(
        num_train_timesteps=train_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


@torch.no_grad()
def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    scheduler: DDIMScheduler,
    steps: int,
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    known: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Denoise `noise` [B, F, D] in `steps` steps of eq. 5; sigma_t is `eta` times that of DDPM.

    predict: (x_t, t [B]) -> x_0. known: (values [B, F, D], mask [B, F, 1]); masked frames are given to the network
    clean at every step; what it makes of them is returned like the rest.
    """
    scheduler.set_timesteps(steps)
    x = noise
    for timestep in scheduler.timesteps:
        if known is not None:
            x = torch.where(known[1], known[0], x)
        clean = predict(x, timestep.expand(len(x)))
        x = scheduler.step(clean, timestep, x, eta=eta, generator=generator).prev_sample
    return x
