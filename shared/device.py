"""Which devices networks may run on."""

from __future__ import annotations

import torch

from shared.errors import UsageError

_KINDS = ("cpu", "cuda", "mps")


def require_device(name: str | torch.device) -> torch.device:
    """Return the device: cpu, cuda, one of several as cuda:1, or mps.

    Raises:
        UsageError: it is none of them, or not available on this computer.
    """
    try:
        device = torch.device(name)
        if device.type not in _KINDS or (device.type != "cuda" and device.index is not None):
            raise ValueError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError, ImportError, TypeError) as error:
        raise UsageError(f"the device {str(name)!r} is not available on this computer") from error
    return device
