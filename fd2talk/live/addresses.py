"""Network addresses (ICE candidates) of WebRTC connections: without STUN, so that no internet is needed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from aioice import ice
from aiortc import RTCConfiguration, RTCPeerConnection

from fd2talk.serving import LOCAL


def peer_connection() -> RTCPeerConnection:
    """A connection without STUN servers."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def offer_addresses(host: str) -> None:
    """Set the addresses of this computer that further connections offer.

    aioice leaves out loopback addresses; a browser on the same computer would then need a network to connect.

    Args:
        host: the address that the server is bound to; for a loopback address only that is offered.
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
    """Whether an address is a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_names(sdp: str) -> str:
    """An offer without mDNS candidates (`….local`), with which browsers hide addresses from pages without microphone.

    Resolving them needs multicast. It is not needed: the browser connects to this server, which then sees its address.
    """
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("a=candidate:") and ".local " in line))
