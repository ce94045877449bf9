"""The listening socket of the server, and serving until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from aiohttp import web

from fd2talk.serving import page_address
from fd2talk.terminal import Stopped, announce
from shared.errors import InputError


def listening(host: str, port: int) -> socket.socket:
    """A listening socket: visitors can connect while models are loaded.

    Raises:
        InputError: the address cannot be used.
    """
    found: socket.socket | None = None
    try:
        kind = socket.SOCK_STREAM
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)[
            0
        ]
        found = socket.socket(family, kind, protocol)
        if os.name == "posix":  # on Windows it would allow two servers on one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except (OSError, UnicodeError) as error:
        if found is not None:
            found.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}, port {port}: {reason}") from None
    return found


async def serve(app: web.Application, at: socket.socket, host: str, token: str | None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        app: the application; what it holds is released by its own hooks.
        at: socket, from `listening`.
        host: address that it is bound to.
        token: which visitors must give, or None.

    Raises:
        Stopped: a signal was received.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(number)

    try:
        await web.SockSite(runner, at).start()
        for number in (signal.SIGINT, signal.SIGTERM):  # without a handler it would raise in whatever the loop is doing
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # Windows; another thread
                    asyncio.get_running_loop().add_signal_handler(number, stop, number)
        announce(page_address(host, at.getsockname()[1], token))
        received = await stopped
    finally:
        await runner.cleanup()
    raise Stopped(received)
