"""How much a visitor may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a studio.

    Args:
        upload_bytes: of one file.
        folder_bytes: of all files of a visitor together, results included.
        pixels: of a photo, read from its header, before it is decoded.
        seconds: of sound.
        waiting: jobs that wait for their turn; further ones are refused.
        visitors: who have files here at the same time; further ones are refused.
        idle_seconds: after which a visitor who does nothing counts as gone.
        leave_seconds: after which the job of a page stops whose connection was lost and that was not loaded again.
        keep_seconds: after which what such a page held is removed.
    """

    upload_bytes: int = 50 * 2**20
    folder_bytes: int = 500 * 2**20
    pixels: int = 50_000_000
    seconds: float = 120.0
    waiting: int = 10
    visitors: int = 100
    idle_seconds: float = 3600.0
    leave_seconds: float = 30.0
    keep_seconds: float = 600.0
