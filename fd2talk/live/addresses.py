"""Over which network addresses sound and pictures go: no other computer is asked, so that no internet is needed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from aioice import ice
from aiortc import RTCConfiguration, RTCPeerConnection

from fd2talk.serving import LOCAL


def peer_connection() -> RTCPeerConnection:
    """A connection that asks no STUN server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def offer_addresses(host: str) -> None:
    """Say which addresses of this computer connections made from now on may use.

    aioice leaves the computer's own (loopback) out, so that a browser and a server on one computer would find each
    other over its network, if there is one.

    Args:
        host: the address that the server is bound to: with its own the computer can only be reached from itself.
    """
    ice.get_host_addresses = _of(host, _all_addresses)


_all_addresses = ice.get_host_addresses


def _of(host: str, others: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        if is_local(host):
            return [LOCAL]
        return [LOCAL, *others(use_ipv4, use_ipv6)]

    return addresses


def is_local(host: str) -> bool:
    """Whether an address is only reached from this computer."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_names(sdp: str) -> str:
    """An offer without candidates that only a name stands for (`….local`).

    Browsers hide addresses so from pages without a microphone. Looking the names up needs multicast, and is not needed:
    the browser reaches us, and its address is seen then.
    """
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("a=candidate:") and ".local " in line))
