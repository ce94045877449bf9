"""`fd2talk serve`: videos over HTTP."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fd2talk.terminal import announce
from shared.errors import UsageError

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer

_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    *, data: str, host: str, port: int, token: str | None, tokens: str | None, max_upload: int, max_pixels: float,
    max_seconds: float, max_waiting: int, keep: float, min_free: int, grace: float, workers: int, weights: str,
    device: str, engine: str | None, signer: Signer | None = None,
) -> None:  # fmt: skip
    """Serve until it is stopped; see `fd2talk.service.server.serve`."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UsageError(f"fd2talk serve needs {missing[0]}: pip install 'fd2talk[serve]'")
    if token is not None and tokens is not None:
        raise UsageError("--token is one for all, --tokens one for each client: give either")

    from fd2talk.service.clients import Clients

    clients = Clients.of(token) if tokens is None else Clients.read(tokens)
    clients.check(host)
    if weights != "bundled" and not Path(weights).is_dir():
        raise UsageError(f"{weights}: there is no such folder of weights")
    if signer is not None:
        os.environ |= signer.environment  # for the processes that make videos
    if device != "cpu":
        from shared.device import require_device  # takes seconds

        require_device(device)

    from fd2talk.service.engine import ENGINE
    from fd2talk.service.limits import Limits
    from fd2talk.service.server import serve

    limits = Limits(
        upload_bytes=max_upload * 2**20, pixels=round(max_pixels * 1e6), seconds=max_seconds, waiting=max_waiting,
        keep_seconds=keep * 3600, free_bytes=min_free * 2**20,
    )  # fmt: skip
    serve(
        Path(data), limits, host=host, port=port, clients=clients, weights=weights, device=device,
        engine=engine or ENGINE, grace=grace, workers=workers, ready=announce,
    )  # fmt: skip
