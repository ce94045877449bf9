"""Choice of the precision that networks run in."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch

# What makes an x86 processor multiply bf16 matrices faster than float32 ones, and 8-bit integers. Questions to torch
# that its older versions do not know; other processors answer no.
_AMX, _AVX512, _VNNI = "_is_amx_tile_supported", "_is_avx512_bf16_supported", "_is_vnni_supported"


def autocast(device: str | torch.device, precision: str = "auto") -> torch.autocast:
    """Return the context in which networks run in bf16, if that is their precision; see `resolved`."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=resolved(device, precision) == "bf16")


def resolved(device: str | torch.device, precision: str, *, int8: bool = False) -> str:
    """Return which precision `auto` is: `int8` or `bf16` where the device is faster in it, else `float32`.

    It depends on the processor alone, never on a timing, so that the same seed gives the same frames.

    Args:
        device: of the networks.
        precision: another one than `auto` is returned as it is.
        int8: whether the networks can run in int8.
    """
    if precision != "auto":
        return precision
    if int8 and has_fast_int8(device):
        return "int8"
    return "bf16" if has_fast_bf16(device) else "float32"


def has_fast_int8(device: str | torch.device) -> bool:
    """Return whether a device is a CPU that multiplies and sums 8-bit integers in one instruction (VNNI of AVX-512)."""
    return torch.device(device).type == "cpu" and getattr(torch.cpu, _VNNI, bool)()


def has_fast_bf16(device: str | torch.device) -> bool:
    """Return whether a device multiplies bf16 matrices faster than float32 ones.

    CPUs with AMX tiles are several times faster in bf16, AMD's with the bf16 instructions of AVX-512 nearly twice;
    others emulate it slowly, and Intel's that hide AMX from a virtual machine take twice as long.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    if kind != "cpu":
        return False
    return getattr(torch.cpu, _AMX, bool)() or getattr(torch.cpu, _AVX512, bool)() and _is_amd()


@cache
def _is_amd() -> bool:
    """Who made the processor, as Linux or Windows know it."""
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        known = os.environ.get("PROCESSOR_IDENTIFIER", "")
    return "AuthenticAMD" in known
