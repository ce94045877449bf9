"""Server-sent events: the state of a video, sent whenever it changes, until the video is finished."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from fd2talk.service.errors import Refused
from fd2talk.service.schemas import Video
from fd2talk.service.service import Service

_POLL_SECONDS = 0.25
_KEEP_ALIVE_SECONDS = 10.0  # after which proxies might close the connection

EVENT_SCHEMA = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["queued", "in_progress", "completed", "failed", "deleted"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "anyOf": [{"$ref": "#/components/schemas/Video"}, {"$ref": "#/components/schemas/Deleted"}]
            },
        },
        "retry": {"type": "integer", "description": "Milliseconds after which a client whose stream ended comes back."},
    },
}
"""JSON schema of one event."""


class Followers:
    """The event streams of a service's clients.

    Args:
        service: with the videos, and the limits of streams.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._count = 0

    def events(self, name: str) -> AsyncIterator[str]:
        """The events of a video: `queued`, `in_progress`, and at the end `completed`, `failed` or `deleted`.

        The data of each is the whole video, so that a client may come back at any time. Where the service stops before,
        or the client has followed for long, the stream ends, and clients ask again.

        Raises:
            Refused: too many follow already.
        """
        if self._count >= self._service.limits.followers:
            sentence = "too many clients follow videos; ask for the video itself, now and then"
            raise Refused(503, "busy", sentence, {"Retry-After": "5"})
        return self._counted(name)

    async def _counted(self, name: str) -> AsyncIterator[str]:
        self._count += 1
        try:
            async for event in self._changes(name):
                yield event
        finally:
            self._count -= 1

    async def _changes(self, name: str) -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        service, last, sent_at = self._service, "", time.monotonic()
        until = sent_at + service.limits.follow_seconds
        while not service.stopping.is_set() and time.monotonic() < until:
            row = await run_in_threadpool(service.videos.find, name)
            if row is None:
                yield _event("deleted", json.dumps({"id": name, "object": "video.deleted", "deleted": True}))
                return
            data = Video.of(row).model_dump_json()
            if data != last:
                yield _event(row.status, data)
                last, sent_at = data, time.monotonic()
            elif time.monotonic() - sent_at > _KEEP_ALIVE_SECONDS:
                yield ": nothing new\n\n"
                sent_at = time.monotonic()
            if row.status in ("completed", "failed"):
                return
            await asyncio.sleep(_POLL_SECONDS)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
