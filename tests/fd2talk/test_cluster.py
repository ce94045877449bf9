"""What is said where there is no cluster; with one: tests/apps/test_cluster.py."""

import builtins
import socket

import pytest

from fd2talk.cluster import connected, spread
from shared.errors import UsageError


def test_without_an_address_the_work_is_done_here():
    with spread(None, 1) as run:
        assert run(divmod, [(7, 3), (9, 2)], what="sums", unit="sum") == [(2, 1), (4, 1)]


def test_without_the_extra(monkeypatch):
    def missing(name, *rest, real=builtins.__import__):
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"needs Ray: pip install 'fd2talk\[cluster\]'"), connected("local"):
        pass


@pytest.mark.parametrize("address", ["somewhere", "host:port", "ray://host:10001", ":6379", "host:99999", ""])
def test_addresses_that_are_none(address):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    with pytest.raises(UsageError, match="is no address of a Ray cluster: give local, auto"), connected(address):
        pass


def test_nothing_listens_there(tmp_path, refused):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    with socket.socket() as silent:  # nobody else can listen there
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "a.mp4").touch()
        arguments = ("prepare", tmp_path, tmp_path.parent / "out", "--address", address)
        refused(*arguments, folder=tmp_path, saying=f"no Ray cluster at {address}: Connection refused")
