"""Serve a folder over HTTP until a signal stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from fd2talk.service.app import application
from fd2talk.service.clients import Clients
from fd2talk.service.engine import ENGINE
from fd2talk.service.guard import LOG
from fd2talk.service.limits import Limits
from fd2talk.service.protocol import protocol
from fd2talk.service.service import Service
from fd2talk.service.supervisor import Supervisor
from fd2talk.serving import bound, server_address


def serve(
    folder: Path,
    limits: Limits,
    *,
    host: str,
    port: int,
    clients: Clients,
    weights: str = "bundled",
    device: str = "cpu",
    engine: str = ENGINE,
    grace: float = 30.0,
    workers: int = 1,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until a signal stops it; unfinished videos are made at the next start.

    Args:
        folder: of the database and all files.
        limits: of clients.
        host: address to bind to.
        port: 0 for any that is free.
        clients: with their tokens, which are required if other computers can reach the address.
        weights: of the models.
        device: for the networks.
        engine: MODULE:NAME of what makes the videos.
        grace: seconds that videos in progress have to finish when the service is stopped.
        workers: number of processes that make videos.
        ready: called with the address.

    Raises:
        UsageError: the address or the folder cannot be used, or the address needs a token.
    """
    clients.check(host)
    with (
        _log_on_standard_error(),
        closing(bound(host, port)) as listening,
        closing(Service(folder, limits, LOG.info)) as service,
    ):
        supervisor = Supervisor(service, engine, weights, device, workers)
        config = uvicorn.Config(
            application(service, clients),
            http=protocol(limits),  # type: ignore[arg-type]  # it makes connections, as a class does
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        try:
            supervisor.start()
            listening.listen()  # `ready` publishes the address, so it must accept connections
            ready(server_address(host, listening.getsockname()[1]))
            _Server(config, service, supervisor, grace).run(sockets=[listening])
        finally:
            service.stopping.set()
            supervisor.stop(0)


class _Server(uvicorn.Server):
    """Answers clients until the videos in progress are finished."""

    def __init__(self, config: uvicorn.Config, service: Service, supervisor: Supervisor, grace: float) -> None:
        super().__init__(config)
        self._service, self._supervisor, self._grace = service, supervisor, grace
        self._signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully; at the second signal at once."""
        self._signals += 1
        super().handle_exit(signal.SIGINT if self._signals > 1 else sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the videos in progress; meanwhile clients are answered, but queue no more."""
        self._service.stopping.set()
        if number := self._service.leases.under_way():
            what = "the video that is being made has" if number == 1 else f"{number} videos that are being made have"
            LOG.info("stopping: %s %g seconds to be finished", what, self._grace)
        await asyncio.to_thread(self._supervisor.stop, self._grace, lambda: self.force_exit)
        await super().shutdown(sockets)


@contextmanager
def _log_on_standard_error() -> Iterator[None]:
    """Whoever calls `serve` finds the logs as they were: standard error may be another one then, or closed."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logs = [LOG, logging.getLogger("uvicorn"), logging.getLogger("python_multipart")]
    before = [(log.handlers, log.propagate, log.level) for log in logs]
    for log in logs:
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.INFO if log is LOG else logging.CRITICAL)  # the access log of `guard` has the same
    try:
        yield
    finally:
        for log, (handlers, propagate, level) in zip(logs, before, strict=True):
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
