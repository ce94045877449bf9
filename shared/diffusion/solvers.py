"""Solvers by name: schedulers of the package diffusers in place of eq. 5 (`shared.diffusion.sampling`), and its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shared.errors import UsageError

DDIM, RENOISE = "ddim", "renoise"
"""Names of what `shared.diffusion.sampling.sample` does itself: eq. 5, and re-noising the prediction at every step."""
_ALIASES = {"dpm-solver++": "DPMSolverMultistepScheduler"}


def make_solver(name: str, train_timesteps: int = 1000) -> Any:
    """Return a scheduler of diffusers for networks that predict x_0, with the noise levels of `make_schedule`.

    Args:
        name: `dpm-solver++` (Lu et al. 2022), or a class of diffusers such as `UniPCMultistepScheduler`; one that can
            start from pure noise, as the networks do.
        train_timesteps: T of eq. 2.

    Raises:
        UsageError: there is no such scheduler, or diffusers is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise UsageError(f'--solver {name} needs the package diffusers: pip install "fd2talk[solvers]"') from error
    settings = {
        "num_train_timesteps": train_timesteps,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
        "clip_sample": False,
    }
    kind: Any = _ALIASES.get(name, name)
    kind = getattr(diffusers, kind, None) if kind.endswith("Scheduler") else None
    takes = inspect.signature(kind.__init__).parameters if kind is not None else {}
    if "rescale_betas_zero_snr" not in takes or "prediction_type" not in takes:
        known = ", ".join((DDIM, RENOISE, *_ALIASES))
        raise UsageError(
            f"--solver {name}: there are {known}, and schedulers of diffusers such as UniPCMultistepScheduler"
        )
    scheduler = kind(**{key: value for key, value in settings.items() if key in takes})
    try:  # some take the setting and have no formula for it
        scheduler.set_timesteps(2)
        scheduler.step(torch.zeros(1, 1, 1), scheduler.timesteps[0], torch.zeros(1, 1, 1))
    except (NotImplementedError, ValueError) as error:
        raise UsageError(f"--solver {name} cannot sample networks that predict the clean signal: {error}") from None
    return scheduler


@torch.no_grad()
def solve(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    scheduler: Any,
    steps: int,
    *,
    generator: torch.Generator | None = None,
    known: tuple[Tensor, Tensor] | None = None,
    replace: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Denoise pure noise as `shared.diffusion.sampling.sample` does, with a scheduler of diffusers.

    Args:
        predict: the network, (x_t [B, F, D], t int64 [B]) -> x_0 [B, F, D].
        noise: standard normal, [B, F, D].
        scheduler: as `make_solver` returns it.
        steps: number of steps.
        generator: of the noise of those that add some, on the CPU.
        known: as for `sample`.
        replace: likewise.

    Returns:
        x_0, [B, F, D].
    """
    scheduler.set_timesteps(steps)
    random = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    x = noise * scheduler.init_noise_sigma
    for index, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, t)
        if known is not None:
            seen = torch.where(known[1], known[0], seen)
        clean = predict(seen, torch.full((len(x),), round(float(t)), device=x.device))
        if replace is not None and index + 1 < len(scheduler.timesteps):
            clean = replace(clean)
        x = scheduler.step(clean, t, x, **random).prev_sample
    return x
