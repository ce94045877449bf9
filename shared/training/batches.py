"""A process's shares of the batches of a training, drawn in threads ahead of the steps that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from shared.prefetch import prefetch_map
from shared.training.config import TrainingConfig

Value = TypeVar("Value", Tensor, np.ndarray)

_own: ContextVar[slice] = ContextVar("own", default=slice(None))


def own_rows(count: int) -> range:
    """Return which of `count` examples of the batch that is being drawn this process keeps.

    For a `Task.batch` whose examples are slow to read: the others' may be left zero, or be left out (`OwnRows`). What
    is drawn from the generator must not depend on it. Outside the training loop, all of them.
    """
    return range(count)[_own.get()]


def own_of(values: Value) -> Value:
    """Return what this process keeps of the rows of an array or a tensor of the whole batch."""
    return values[_own.get()]


def own_normal(generator: torch.Generator, count: int, *shape: int) -> Tensor:
    """Draw standard normal numbers for the rows that this process keeps, [rows, *shape].

    Each row has a generator of its own, whose seed is drawn from `generator`: numbers of other processes' rows, of
    which there are many where there are many processes, need not be drawn.
    """
    seeds = own_of(torch.randint(2**62, (count,), generator=generator)).tolist()
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


class OwnRows(dict[str, Any]):
    """A batch that has the rows that this process keeps alone, so that the loop takes it as it is."""


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step: resuming needs nothing but the step."""
    return seed * 1_000_003 + step


def batches_from(
    first_step: int,
    draw: Callable[[torch.Generator, int], dict[str, Any]],
    config: TrainingConfig,
    accelerator: Accelerator,
) -> Iterator[dict[str, Any]]:
    """Draw the batches of the steps from `first_step` to the last.

    Args:
        first_step: the first step.
        draw: `Task.batch`.
        config: seed, batch size, number of steps, and of batches ahead.
        accelerator: which process this is, and its device.

    Yields:
        This process's share of a batch, on the CPU, in page-locked memory if the device is a GPU.
    """
    device, own = accelerator.device, slice(accelerator.process_index, None, accelerator.num_processes)

    def prepare(step: int) -> dict[str, Any]:
        reading = _own.set(own)
        try:
            batch = draw(torch.Generator().manual_seed(step_seed(config.seed, step)), config.batch_size)
        finally:
            _own.reset(reading)
        if not isinstance(batch, OwnRows):
            batch = {name: share(value, own) for name, value in batch.items()}
        if device.type != "cuda":
            return batch
        torch.cuda.set_device(device)  # of this thread; page-locked memory belongs to a GPU
        return {name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in batch.items()}

    steps = range(first_step, config.max_steps)
    if config.prefetch:
        yield from prefetch_map(prepare, steps, workers=config.readers, prefetch=config.prefetch, name="batch")
    else:
        yield from map(prepare, steps)


def share(value: Any, own: slice) -> Any:
    """Return what a process has of a tensor's rows, or of the first examples that an int counts; else the value."""
    if isinstance(value, Tensor) and value.ndim:
        return value[own]
    if isinstance(value, int) and not isinstance(value, bool):
        return len(range(value)[own])
    return value
