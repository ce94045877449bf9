"""Stages of `shared.stages` on a device, which begins work and goes on: a stage ends when its work is done."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor

from shared.stages import stage


def device_stage(name: str, batch: Tensor) -> AbstractContextManager[None]:
    """Name what happens in the block, for a batch on the device on which it happens."""
    on_gpu = batch.device.type == "cuda"
    return stage(name, len(batch), partial(torch.cuda.synchronize, batch.device) if on_gpu else int)
