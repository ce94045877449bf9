"""Choice of the floating-point precision that networks run in."""

from __future__ import annotations

import torch


def has_fast_bf16(device: str | torch.device) -> bool:
    """Return whether a device multiplies bf16 matrices faster than float32 ones.

    CPUs with AMX tiles are several times faster in bf16; other CPUs emulate it slowly.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    return kind == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
