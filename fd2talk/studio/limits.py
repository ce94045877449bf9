"""Limits of visitors and of the queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a studio.

    Args:
        upload_bytes: of one file.
        folder_bytes: of all files of a visitor together, results included.
        pixels: of a photo, checked in its header before it is decoded.
        seconds: of a recording, a clip, or a motion.
        waiting: queued jobs; further ones are refused.
        visitors: at the same time; further ones are refused.
        idle_seconds: without requests after which a visitor is forgotten.
        leave_seconds: after which the job of a closed or disconnected page is cancelled, if it does not come back.
        keep_seconds: after which the data of such a page is removed.
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
