"""Connections on a computer without any network, and browsers that hide their address."""

import pytest

pytest.importorskip("aiortc", reason="the extra live is not installed")

from fd2talk.live.addresses import _of, is_local, without_names


@pytest.mark.parametrize("host, local", [("127.0.0.1", 1), ("localhost", 1), ("::1", 1), ("0.0.0.0", 0), ("nas", 0)])
def test_only_loopback_is_local(host, local):
    assert is_local(host) == bool(local)


def test_a_local_server_is_reached_from_this_computer_only():
    others = lambda use_ipv4, use_ipv6: ["192.0.2.7"]  # noqa: E731
    assert _of("127.0.0.1", others)(use_ipv4=True, use_ipv6=True) == ["127.0.0.1"]
    assert _of("0.0.0.0", others)(use_ipv4=True, use_ipv6=True) == ["127.0.0.1", "192.0.2.7"]


def test_names_of_hidden_addresses_are_left_out():
    kept = "a=candidate:2 1 udp 2113937151 192.0.2.7 50001 typ host\r\n"
    hidden = "a=candidate:1 1 udp 2113937151 3f2a-11.local 50000 typ host\r\n"
    assert without_names("v=0\r\n" + hidden + kept + "a=mid:0\r\n") == "v=0\r\n" + kept + "a=mid:0\r\n"
