"""Limits of requests, of the queue and of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a service.

    Args:
        upload_bytes: of one file.
        pixels: of a photo, checked in its header before it is decoded.
        seconds: of sound, and of a clip.
        waiting: queued videos; further ones are refused.
        keep_seconds: after which finished videos, and uploads, are removed.
        free_bytes: free space of the disk below which nothing is accepted and no video is begun.
        crashes: of the worker during one video, after which that video has failed.
        interruptions: crashes of the whole service during one video, likewise.
        stall_seconds: without progress of a video, after which its worker is killed.
        cancel_seconds: within which a worker must abandon a deleted video, before it is killed.
        requests: that are answered at the same time; further ones are refused.
        followers: event streams among these requests; fewer, so that other requests are still answered.
        follow_seconds: after which an event stream ends; clients reconnect by themselves.
        connections: that are open at the same time.
        header_seconds: within which the headers of a request must arrive.
        idle_seconds: the longest pause in a request's body, and in reading a response.
        body_seconds: within which the whole body must arrive.
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
