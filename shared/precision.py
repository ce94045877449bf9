"""Which arithmetic networks run in."""

from __future__ import annotations

import torch


def has_fast_bf16(device: str | torch.device) -> bool:
    """Whether a device multiplies bf16 matrices faster than float32 ones.

    CPUs with AMX tiles do, several times; others emulate them slowly.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    return kind == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
