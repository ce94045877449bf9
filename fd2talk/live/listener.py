"""Where the server listens, and until when."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from aiohttp import web

from fd2talk.terminal import announce
from shared.errors import InputError


async def serve(app: web.Application, host: str, port: int, token: str | None) -> None:
    """Listen until Ctrl-C or SIGTERM.

    Raises:
        InputError: the address cannot be used.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
        shown = f"[{host}]" if ":" in host else host
        number = runner.addresses[0][1]
        announce(f"http://{shown}:{number}/" + (f"?token={token}" if token else ""))
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # otherwise an exception in whatever the loop does then
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # Windows; another thread's loop
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
    finally:
        await runner.cleanup()
