"""Who may talk to a server of ours: addresses, the token, and which pages may send requests."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from shared.errors import UsageError

LOCAL = "127.0.0.1"
MIN_TOKEN = 16
"""Characters of a token at least: fewer can be guessed."""

_LOOPBACK = {LOCAL, "localhost", "::1"}


def check_address(host: str, token: str | None) -> None:
    """Refuse to serve other computers without a token.

    Args:
        host: the address that the server binds to.
        token: what visitors must know, or None.

    Raises:
        UsageError: another address than this computer's own without a token, or a token that can be guessed.
    """
    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"a token of {len(token)} characters can be guessed: use at least {MIN_TOKEN}")
    if token is None and host not in _LOOPBACK:
        raise UsageError(f"{host} can be reached from other computers: give a --token that visitors must know")


def knows(token: str | None, given: str | None) -> bool:
    """Whether a visitor knows the token; compared in constant time. Without a token everybody does."""
    return token is None or (given is not None and hmac.compare_digest(token.encode(), given.encode()))


def is_own_page(host: str | None, origin: str | None, token: str | None) -> bool:
    """Whether a request comes from our own page, not from one of another site that is open in the same browser.

    Args:
        host: the request's Host header. Without a token it must name this computer: another site whose name was pointed
            here (DNS rebinding) has its own.
        origin: its Origin header; None for requests that browsers send without, and for programs.
        token: the server's.
    """
    name = urlsplit(f"//{host}").hostname if host else None
    if token is None and name not in _LOOPBACK:
        return False
    return origin is None or urlsplit(origin).netloc == host
