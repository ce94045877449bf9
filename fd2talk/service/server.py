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
from fd2talk.service.engine import ENGINE
from fd2talk.service.guard import LOG
from fd2talk.service.limits import Limits
from fd2talk.service.protocol import protocol
from fd2talk.service.service import Service
from fd2talk.service.supervisor import Supervisor
from fd2talk.serving import bound, check_address


def serve(
    folder: Path,
    limits: Limits,
    *,
    host: str,
    port: int,
    token: str | None,
    weights: str = "bundled",
    device: str = "cpu",
    engine: str = ENGINE,
    grace: float = 30.0,
    workers: int = 1,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until a signal stops it; what was not finished then waits for the next time.

    Args:
        folder: of everything that is kept.
        limits: of clients.
        host: address to bind to.
        port: 0 for any that is free.
        token: that clients must know; needed where other computers can reach the address.
        weights: of the models.
        device: for the networks.
        engine: what makes the videos, MODULE:NAME.
        grace: seconds in which what is being made may be finished when the service is stopped.
        workers: processes that make videos.
        ready: called with the address.

    Raises:
        UsageError: the address or the folder cannot be used, or the address needs a token.
    """
    check_address(host, token)
    with (
        _log_on_standard_error(),
        closing(bound(host, port)) as listening,
        closing(Service(folder, limits, LOG.info)) as service,
    ):
        supervisor = Supervisor(service, engine, weights, device, workers)
        config = uvicorn.Config(
            application(service, token),
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
            name = f"[{host}]" if ":" in host else host
            listening.listen()  # whoever is told the address may come at once
            ready(f"http://{name}:{listening.getsockname()[1]}")
            _Server(config, service, supervisor, grace).run(sockets=[listening])
        finally:
            service.stopping.set()
            supervisor.stop(0)


class _Server(uvicorn.Server):
    """Clients are answered until what is being made is finished."""

    def __init__(self, config: uvicorn.Config, service: Service, supervisor: Supervisor, grace: float) -> None:
        super().__init__(config)
        self._service, self._supervisor, self._grace = service, supervisor, grace
        self._signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second Ctrl-C at once."""
        self._signals += 1
        super().handle_exit(signal.SIGINT if self._signals > 1 else sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish, while clients may still ask, but not for more."""
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
        log.setLevel(logging.INFO if log is LOG else logging.CRITICAL)  # what others say of clients is in our log
    try:
        yield
    finally:
        for log, (handlers, propagate, level) in zip(logs, before, strict=True):
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
