"""How much clients may ask for, and how long anything may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a service.

    Args:
        upload_bytes: of one file.
        pixels: of a photo, read from its header, before it is decoded.
        seconds: of sound, and of a clip.
        waiting: videos that wait for their turn; further ones are refused.
        keep_seconds: after which finished videos, and uploads, are removed.
        free_bytes: of the disk, below which nothing is taken and no video is begun.
        crashes: of the process that makes videos, during one video, after which that video has failed.
        interruptions: hard ends of the whole service during one video, likewise.
        stall_seconds: without any progress of a video, after which its process is ended.
        cancel_seconds: in which a process must leave a video that was deleted, before it is ended.
        requests: that are answered at the same time; further ones are refused.
        followers: of them, those that follow videos by events; likewise, so that others are answered, too.
        follow_seconds: after which such a stream ends; clients come back by themselves.
        connections: that are open at the same time.
        header_seconds: in which the head of a request must arrive.
        idle_seconds: in which something more of a body must arrive, and a client must take something of an answer.
        body_seconds: in which all of a body must arrive.
    """

    upload_bytes: int = 50 * 2**20
    pixels: int = 50_000_000
    seconds: float = 120.0
    waiting: int = 100
    keep_seconds: float = 24 * 3600.0
    free_bytes: int = 500 * 2**20
    crashes: int = 3
    interruptions: int = 20
    stall_seconds: float = 900.0
    cancel_seconds: float = 10.0
    requests: int = 200
    followers: int = 100
    follow_seconds: float = 3600.0
    connections: int = 500
    header_seconds: float = 10.0
    idle_seconds: float = 30.0
    body_seconds: float = 900.0
