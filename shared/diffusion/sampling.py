"""Noising and sampling of networks that predict the clean signal (FD2Talk eq. 2, 3 and 5).

The same numbers as diffusers' DDIMScheduler (a test compares them), without the three seconds that it takes to import.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """alphas_cumprod: float32 [train_timesteps], the bar alpha_t of eq. 2, falling to 0."""

    alphas_cumprod: Tensor

    @property
    def train_timesteps(self) -> int:
        """T."""
        return len(self.alphas_cumprod)

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Eq. 2: clean, noise [B, ...], timesteps [B] -> x_t."""
        alpha = self.alphas_cumprod.to(clean.device)[timesteps].view(-1, *[1] * (clean.ndim - 1))
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise

    def timesteps(self, steps: int) -> list[int]:
        """`steps` timesteps from the last, pure noise, downwards ("trailing" spacing, Lin et al. 2024)."""
        return [round(self.train_timesteps * (1 - k / steps)) - 1 for k in range(steps)]

    def step(
        self, x: Tensor, clean: Tensor, t: int, previous: int, *, eta: float = 0.0, noise: Tensor | None = None
    ) -> Tensor:
        """Eq. 5: x_t and the predicted x_0 -> x at the timestep `previous` (below 0: clean). sigma_t is `eta` times
        that of DDPM."""
        alpha = self.alphas_cumprod[t]
        before = self.alphas_cumprod[previous] if previous >= 0 else torch.tensor(1.0)
        sigma = eta * ((1 - before) / (1 - alpha) * (1 - alpha / before)).sqrt()
        epsilon = (x - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        x = before.sqrt() * clean + (1 - before - sigma**2).clamp(min=0).sqrt() * epsilon
        return x if noise is None or eta == 0 else x + sigma * noise


def make_schedule(train_timesteps: int = 1000) -> Schedule:
    """A cosine schedule (Nichol & Dhariwal 2021) that ends in pure noise (zero terminal SNR, Lin et al. 2024), so that
    sampling in few steps starts where training ended."""
    time = torch.arange(train_timesteps + 1, dtype=torch.float64) / train_timesteps
    level = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = (1 - level[1:] / level[:-1]).clamp(max=0.999)
    root = (1 - betas).cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return Schedule((root**2).float())


@torch.no_grad()
def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    known: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Denoise `noise` [B, F, D] in `steps` steps of eq. 5.

    predict: (x_t, t [B]) -> x_0. known: (values [B, F, D], mask [B, F, 1]); masked frames are given to the network
    clean at every step; what it makes of them is returned like the rest. generator: on the CPU; for eta > 0.
    """
    x = noise
    timesteps = schedule.timesteps(steps)
    for t, previous in zip(timesteps, [*timesteps[1:], -1]):
        if known is not None:
            x = torch.where(known[1], known[0], x)
        clean = predict(x, torch.full((len(x),), t, device=x.device))
        fresh = torch.randn(x.shape, generator=generator).to(x.device) if eta else None
        x = schedule.step(x, clean, t, previous, eta=eta, noise=fresh)
    return x
