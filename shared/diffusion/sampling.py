"""Noising and sampling of networks that predict the clean signal (FD2Talk eq. 2, 3 and 5).

The same numbers as diffusers' DDIMScheduler (a test compares them), without the three seconds of its import.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """The noise levels of diffusion.

    Attributes:
        alphas_cumprod: float32 [train_timesteps], the bar alpha_t of eq. 2, falling to 0.
    """

    alphas_cumprod: Tensor

    @property
    def train_timesteps(self) -> int:
        """T of eq. 2."""
        return len(self.alphas_cumprod)

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Eq. 2: x_t = sqrt(bar alpha_t) x_0 + sqrt(1 - bar alpha_t) noise.

        Args:
            clean: x_0, [B, ...].
            noise: standard normal, [B, ...].
            timesteps: int64 [B].

        Returns:
            x_t, [B, ...].
        """
        alpha = self.alphas_cumprod.to(clean.device)[timesteps].view(-1, *[1] * (clean.ndim - 1))  # [B, 1, ...]
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise

    def timesteps(self, steps: int) -> list[int]:
        """Return `steps` timesteps downwards from the last, pure noise ("trailing" spacing, Lin et al. 2024)."""
        return [round(self.train_timesteps * (1 - k / steps)) - 1 for k in range(steps)]

    def step(
        self, x: Tensor, clean: Tensor, t: int, previous: int, *, eta: float = 0.0, noise: Tensor | None = None
    ) -> Tensor:
        """Eq. 5, one step of DDIM (Song et al. 2021): x_t and the predicted x_0 -> x at the timestep `previous`.

            x = sqrt(b) x_0 + sqrt(1 - b - sigma^2) epsilon + sigma noise,  epsilon = (x_t - sqrt(a) x_0) / sqrt(1 - a)
            sigma = eta sqrt((1 - b) / (1 - a)) sqrt(1 - a / b),  a, b: bar alpha at `t` and at `previous`

        FD2Talk prints sqrt(1 - b) - sigma^2 in place of DDIM's sqrt(1 - b - sigma^2), a misprint: the variance of x
        would not be 1 - b. It names sigma the covariance; `eta` is its scale.

        Args:
            x: x_t, [B, ...].
            clean: the network's prediction of x_0, [B, ...].
            t: timestep of `x`.
            previous: the next, smaller timestep; below 0 the result is clean.
            eta: 0 is deterministic DDIM, 1 has the variance of DDPM.
            noise: standard normal, [B, ...]; required for eta > 0.
        """
        alpha = self.alphas_cumprod[t]
        before = self.alphas_cumprod[previous] if previous >= 0 else torch.tensor(1.0)
        sigma = eta * ((1 - before) / (1 - alpha) * (1 - alpha / before)).sqrt()
        epsilon = (x - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        x = before.sqrt() * clean + (1 - before - sigma**2).clamp(min=0).sqrt() * epsilon
        return x if noise is None or eta == 0 else x + sigma * noise


def make_schedule(train_timesteps: int = 1000) -> Schedule:
    """Return a cosine schedule (Nichol & Dhariwal 2021) of zero terminal SNR (Lin et al. 2024).

    Because it ends in pure noise, sampling in few steps starts exactly where training ended.
    """
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
    replace: Callable[[Tensor], Tensor] | None = None,
    renoise: bool = False,
    draw: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """Denoise pure noise in `steps` steps: the network predicts x_0 (eq. 3), and eq. 5 leads to the next timestep.

    Args:
        predict: the network, (x_t [B, F, D], t int64 [B]) -> x_0 [B, F, D].
        noise: standard normal, [B, F, D].
        schedule: the schedule of the training.
        steps: number of steps.
        eta: scale of the noise added at each step (see `Schedule.step`).
        generator: of the noise for eta > 0, on the CPU.
        known: (values [B, F, D], mask [B, F, 1]); where the mask is true the network's input is replaced by the clean
            values at every step; its prediction there is returned like that of other frames.
        replace: x_0 [B, F, D] -> x_0, part of which is given (3DiFACE, "Motion Editing"): applied to the prediction of
            every step but the last, so that what is given enters the network properly noised; what the network makes of
            it in the last step is returned, and tells how far the frames around it are off.
        renoise: instead of eq. 5, noise the predicted x_0 anew at every step (Tevet et al. 2023; DiffPoseTalk §3.3.3,
            which takes as many steps as in training).
        draw: number of the step -> its fresh noise [B, F, D], in place of that of `generator`.

    Returns:
        x_0, [B, F, D].
    """
    x = noise
    timesteps = schedule.timesteps(steps)
    draw = draw or (lambda _: torch.randn(x.shape, generator=generator).to(x.device))
    for number, (t, previous) in enumerate(zip(timesteps, [*timesteps[1:], -1])):
        if known is not None:
            x = torch.where(known[1], known[0], x)
        clean = predict(x, torch.full((len(x),), t, device=x.device))
        if replace is not None and previous >= 0:
            clean = replace(clean)
        adds_noise = (eta or renoise) and previous >= 0
        fresh = draw(number) if adds_noise else None
        if renoise:
            x = clean if fresh is None else schedule.add_noise(clean, fresh, torch.full((len(x),), previous))
        else:
            x = schedule.step(x, clean, t, previous, eta=eta, noise=fresh)
    return x
