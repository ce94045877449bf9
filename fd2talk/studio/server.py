"""Serve a studio until it is stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from fd2talk.serving import bound, check_address, server_address
from fd2talk.studio.engine import Engine
from fd2talk.studio.limits import Limits

if TYPE_CHECKING:
    from fd2talk.studio.studio import Studio


def serve(
    engine: Engine,
    limits: Limits,
    *,
    host: str,
    port: int,
    token: str | None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until a signal stops it; then all jobs stop and all files are removed.

    Args:
        engine: the pipelines, which are loaded in the background.
        limits: of visitors.
        host: address to bind to.
        port: 0 for any that is free.
        token: which visitors must give; required if other computers can reach the address.
        ready: called with the address of the page.

    Raises:
        UsageError: the address cannot be used, or needs a token.
    """
    check_address(host, token)
    with closing(bound(host, port)) as listening:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import uvicorn

        from fd2talk.studio.studio import Studio

        with closing(Studio(engine, limits)) as studio, studio.notes.installed():
            # Gradio serves only files in this folder; it reads the variable on each use.
            os.environ["GRADIO_TEMP_DIR"] = str(studio.visitors.folder)
            from fd2talk.studio.app import application

            config = uvicorn.Config(
                application(studio, token),
                log_level="warning",
                timeout_graceful_shutdown=2,
                limit_concurrency=10 * limits.visitors,
                server_header=False,
            )
            stopped = threading.Event()
            threading.Thread(target=_tidy, args=(studio, stopped), name="studio-tidy", daemon=True).start()
            threading.Thread(target=engine.warm, name="studio-warm", daemon=True).start()
            listening.listen()  # `ready` publishes the address, so it must accept connections
            ready(server_address(host, listening.getsockname()[1]))
            try:
                uvicorn.Server(config).run(sockets=[listening])
            finally:
                stopped.set()


def _tidy(studio: Studio, stopped: threading.Event) -> None:
    """Once a minute, forget idle visitors."""
    while not stopped.wait(60):
        studio.visitors.forget_idle()
