"""Choice of the floating-point precision that networks run in."""

from __future__ import annotations

import torch

# What makes an x86 processor multiply bf16 matrices faster than float32 ones. Questions to torch that its older
# versions do not know; other processors answer no.
_BF16_INSTRUCTIONS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def autocast(device: str | torch.device, precision: str = "auto") -> torch.autocast:
    """Return the context in which networks run in float32, bf16, or `auto`: bf16 where the device is faster in it."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=uses_bf16(device, precision))


def uses_bf16(device: str | torch.device, precision: str) -> bool:
    """Return whether that is bf16."""
    return precision == "bf16" or precision == "auto" and has_fast_bf16(device)


def has_fast_bf16(device: str | torch.device) -> bool:
    """Return whether a device multiplies bf16 matrices faster than float32 ones.

    CPUs with AMX tiles are several times faster in bf16, those with the bf16 instructions of AVX-512 nearly twice;
    others emulate it slowly. It depends on the processor alone, never on a timing, so that the same seed gives the same
    frames.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    return kind == "cpu" and any(getattr(torch.cpu, name, bool)() for name in _BF16_INSTRUCTIONS)
