"""Who may talk to a server of ours: addresses, the token, and which pages may send requests."""

from __future__ import annotations

import hmac
import re
import socket
from urllib.parse import quote, urlsplit

from shared.errors import UsageError

LOCAL = "127.0.0.1"
MIN_TOKEN = 16
"""Characters of a token at least: fewer can be guessed."""

_SENDABLE = re.compile(r"[!-~]+")
_LOOPBACK = {LOCAL, "localhost", "::1"}
_EVERY = {"0.0.0.0", "::", ""}


def check_address(host: str, token: str | None) -> None:
    """Refuse to serve other computers without a token.

    Args:
        host: the address that the server binds to.
        token: what visitors must know, or None.

    Raises:
        UsageError: another address than this computer's own without a token, or one that does not exist, or a token
            that can be guessed or that no header holds.
    """
    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"a token of {len(token)} characters can be guessed: use at least {MIN_TOKEN}")
    if token is not None and not _SENDABLE.fullmatch(token):
        raise UsageError("a token has only ASCII letters, digits and marks, without spaces: clients could not send it")
    if token is None and host not in _LOOPBACK:
        _check_exists(host)
        raise UsageError(f"{host} can be reached from other computers: give a --token that visitors must know")


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address, which does not listen yet.

    Args:
        host: address of this computer, or its name.
        port: 0 for any that is free.

    Raises:
        UsageError: it is in use, or none of this computer's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as asyncio switches Nagle's algorithm off only then: every answer would take 40 ms more.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, OverflowError, TypeError, UnicodeError) as error:  # a port, and names, that cannot be
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot serve at {host}, port {port}: {reason}") from error
    return listening


def knows(token: str | None, given: str | None) -> bool:
    """Whether a visitor knows the token; compared in constant time. Without a token everybody does."""
    return token is None or (given is not None and hmac.compare_digest(_bytes(token), _bytes(given)))


def is_own_page(host: str | None, origin: str | None, token: str | None) -> bool:
    """Whether a request comes from our own page, not from one of another site that is open in the same browser.

    Args:
        host: the request's Host header. Without a token it must name this computer: another site whose name was pointed
            here (DNS rebinding) has its own.
        origin: its Origin header; None for requests that browsers send without, and for programs.
        token: the server's.
    """
    try:
        name = urlsplit(f"//{host}").hostname if host else None
        site = host if origin is None else urlsplit(origin).netloc
    except ValueError:  # such as a bracket that is not closed
        return False
    return (token is not None or name in _LOOPBACK) and site == host


def page_address(host: str, port: int, token: str | None) -> str:
    """The address that visitors open.

    Args:
        host: that the server is bound to; where it is all addresses of this computer, one that others reach is named.
        port: that it listens on.
        token: the server's.
    """
    if host in _EVERY:
        host = _seen_by_others(socket.AF_INET6 if host == "::" else socket.AF_INET)
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _check_exists(host: str) -> None:
    try:
        socket.getaddrinfo(host or None, 0)
    except (OSError, UnicodeError):
        raise UsageError(f"cannot serve at {host}: there is no such address") from None


def _seen_by_others(family: socket.AddressFamily) -> str:
    """This computer's address in its network, or its name."""
    beyond = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # of examples: nothing is sent there
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((beyond, 9))
            return str(asking.getsockname()[0])
    except OSError:  # no network
        return socket.gethostname()


def _bytes(text: str) -> bytes:
    """Of a header, which may hold bytes that are no text."""
    return text.encode(errors="surrogateescape")
