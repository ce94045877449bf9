"""`fd2talk studio`: the page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from fd2talk.serving import check_address
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import UsageError

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def studio(
    *, host: str, port: int, token: str | None, max_upload: int, max_seconds: float, max_waiting: int, weights: str,
    device: str, signer: Signer | None = None,
) -> None:  # fmt: skip
    """Serve the page until it is stopped; see `fd2talk.studio.server.serve`."""
    if find_spec("gradio") is None:
        raise UsageError("fd2talk studio needs gradio: pip install 'fd2talk[studio]'")
    check_address(host, token)
    require_device(device)

    from fd2talk.studio.engine import Engine  # takes seconds, after what was asked for has been checked
    from fd2talk.studio.limits import Limits
    from fd2talk.studio.server import serve

    limits = Limits(upload_bytes=max_upload * 2**20, seconds=max_seconds, waiting=max_waiting)
    serve(Engine(weights, device, signer), limits, host=host, port=port, token=token, ready=announce)
