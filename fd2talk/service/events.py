"""Server-sent events: a video as it is, whenever that changes, until it is finished."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from fd2talk.service.schemas import Video
from fd2talk.service.service import Service

_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_OF_SILENCE = 10.0  # after which proxies might close the connection


async def events(service: Service, name: str) -> AsyncIterator[str]:
    """The events of a video: `queued`, `in_progress`, and at the end `completed`, `failed` or `deleted`.

    The data of each is the whole video, so that a client may come back at any time. Where the service stops before, the
    stream ends, and clients ask again.
    """
    yield "retry: 2000\n\n"
    last, said = "", time.monotonic()
    while not service.stopping.is_set():
        row = await run_in_threadpool(service.videos.find, name)
        if row is None:
            yield _event("deleted", json.dumps({"id": name, "object": "video.deleted", "deleted": True}))
            return
        data = Video.of(row).model_dump_json()
        if data != last:
            yield _event(row.status, data)
            last, said = data, time.monotonic()
        elif time.monotonic() - said > _SECONDS_OF_SILENCE:
            yield ": nothing new\n\n"
            said = time.monotonic()
        if row.status in ("completed", "failed"):
            return
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
