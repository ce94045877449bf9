"""Losses over several processes: means, counts and contrast over the whole batch, of which each process has a share.

The training loop (`shared.training.loop`) averages losses and gradients over the processes. A mean over equal shares
needs nothing from here; a mean over what a mask selects is divided by `mean_count`; a loss between examples is computed
on what `gather` returns. All processes must call these functions in the same order. With one process the functions
return what they were given.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def number() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mean_count(count: Tensor) -> Tensor:
    """Return how many elements a process has on average: the denominator of a mean over all processes' elements.

    The average over processes of (sum of the own elements) / `mean_count` is the mean over all elements.

    Args:
        count: number of elements of this process, a scalar on the training's device.

    Returns:
        A scalar; as if there were one element where there is none.
    """
    if number() > 1:
        count = count.detach().clone()
        distributed.all_reduce(count)
    count = count.clamp(min=1)
    return count / number() if number() > 1 else count


def gather(values: Tensor) -> Tensor:
    """Concatenate values [B, ...] of all processes to [processes * B, ...], each of the same shape.

    Gradients reach the own values alone, times the number of processes: averaged over the processes, the gradients of a
    loss that every process computes on the result are those of one process.
    """
    if number() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(number())]
    distributed.all_gather(parts, values.detach().contiguous())
    parts[distributed.get_rank()] = values + (number() - 1) * (values - values.detach())
    return torch.cat(parts)


def same(values: Tensor, device: torch.device) -> Tensor:
    """Return the first process's values, sent by way of `device`, which the processes communicate with."""
    if number() > 1:
        values = values.to(device)
        distributed.broadcast(values, src=0)
    return values
