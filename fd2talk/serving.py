"""Access to the servers of this package: addresses, tokens, and the origin of requests."""

from __future__ import annotations

import hmac
import re
import socket
from urllib.parse import quote, urlsplit

from shared.errors import UsageError

LOCAL = "127.0.0.1"
MIN_TOKEN = 16
"""Minimum length of a token."""

_SENDABLE = re.compile(r"[!-~]+")
_LOOPBACK = {LOCAL, "localhost", "::1"}
_EVERY = {"0.0.0.0", "::", ""}


def check_address(host: str, token: str | None) -> None:
    """Refuse to serve other computers without a token.

    Args:
        host: the address that the server binds to.
        token: which clients must send, or None.

    Raises:
        UsageError: other computers can reach the address and there is no token, the address does not exist, or the
            token is too short, or cannot be sent in a header.
    """
    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"a token of {len(token)} characters can be guessed: use at least {MIN_TOKEN}")
    if token is not None and not _SENDABLE.fullmatch(token):
        raise UsageError("a token has only ASCII letters, digits and marks, without spaces: clients could not send it")
    if token is None and host not in _LOOPBACK:
        _check_exists(host)
        raise UsageError(f"{host} can be reached from other computers: give a --token that visitors must know")


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address, which does not listen yet.

    Args:
        host: address of this computer, or its name.
        port: 0 for any that is free.

    Raises:
        UsageError: it is in use, or not an address of this computer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol asyncio sets TCP_NODELAY; otherwise every answer would take 40 ms more.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, OverflowError, TypeError, UnicodeError) as error:  # an invalid port or name
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot serve at {host}, port {port}: {reason}") from error
    return listening


def knows(token: str | None, given: str | None) -> bool:
    """Whether the given token is the right one, compared in constant time; True if there is no token."""
    return token is None or (given is not None and hmac.compare_digest(_bytes(token), _bytes(given)))


def is_own_page(host: str | None, origin: str | None, token: str | None) -> bool:
    """Whether a request comes from the server's own page or a program, not from another site's page (CSRF).

    Args:
        host: the request's Host header. Without a token it must be a loopback name, against DNS rebinding.
        origin: its Origin header; None if it has none.
        token: the server's.
    """
    try:
        name = urlsplit(f"//{host}").hostname if host else None
        site = host if origin is None else urlsplit(origin).netloc
    except ValueError:  # such as a bracket that is not closed
        return False
    return (token is not None or name in _LOOPBACK) and site == host


def server_address(host: str, port: int) -> str:
    """The URL of a server, with an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def page_address(host: str, port: int, token: str | None) -> str:
    """The URL that visitors open.

    Args:
        host: which the server is bound to; for all addresses (0.0.0.0), one that others can reach is put in its place.
        port: which it listens on.
        token: the server's.
    """
    if host in _EVERY:
        host = _seen_by_others(socket.AF_INET6 if host == "::" else socket.AF_INET)
    return f"{server_address(host, port)}/" + (f"?token={quote(token, safe='')}" if token else "")


def _check_exists(host: str) -> None:
    try:
        socket.getaddrinfo(host or None, 0)
    except (OSError, UnicodeError):
        raise UsageError(f"cannot serve at {host}: there is no such address") from None


def _seen_by_others(family: socket.AddressFamily) -> str:
    """This computer's address in its network, or its host name."""
    # An address reserved for documentation; connecting a UDP socket sends nothing.
    beyond = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((beyond, 9))
            return str(asking.getsockname()[0])
    except OSError:  # no network
        return socket.gethostname()


def _bytes(text: str) -> bytes:
    """Bytes of a header, which may be invalid UTF-8."""
    return text.encode(errors="surrogateescape")
