import asyncio
import socket
from urllib.parse import parse_qs, urlsplit

import pytest

from fd2talk.serving import bound, check_address, is_own_page, knows, page_address
from shared.errors import UsageError

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_computer_needs_no_token(host: str) -> None:
    check_address(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.2", "::", ""])
def test_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="--token"):
        check_address(host, None)
    check_address(host, TOKEN)


def test_a_token_cannot_be_guessed() -> None:
    with pytest.raises(UsageError, match="at least 16"):
        check_address("127.0.0.1", "short")


@pytest.mark.parametrize("token", ["correct-hörse-battery", "correct horse battery", "correct-horse-battery\n"])
def test_a_token_can_be_sent_in_a_header(token: str) -> None:
    with pytest.raises(UsageError, match="only ASCII letters"):
        check_address("127.0.0.1", token)


@pytest.mark.parametrize("host", ["nope.invalid", "1.2.3.4.5", "ä" * 80])
def test_an_address_that_does_not_exist_is_not_asked_for_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="there is no such address"):
        check_address(host, None)
    with pytest.raises(UsageError, match="cannot serve at"):
        bound(host, 0)


def test_small_answers_are_sent_at_once() -> None:
    """Where the socket names its protocol asyncio switches Nagle's algorithm off, for every connection."""

    async def is_off() -> bool:
        seen: list[int] = []

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            at = writer.get_extra_info("socket")
            seen.append(at.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = bound("127.0.0.1", 0)
        server = await asyncio.start_server(answer, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        await reader.read()
        writer.close()
        server.close()
        return bool(seen[0])

    assert asyncio.run(is_off())


def test_only_the_token_opens() -> None:
    assert knows(TOKEN, TOKEN)
    assert not knows(TOKEN, None)
    assert not knows(TOKEN, TOKEN[:-1])
    assert not knows(TOKEN, "")
    assert knows(None, None)


def test_bytes_that_are_no_text_open_nothing() -> None:
    assert not knows(TOKEN, TOKEN[:-1] + "\udcff")
    assert not knows(TOKEN, "é" * len(TOKEN))
    assert knows("é" * 20, "é" * 20)


def test_the_address_of_the_page_is_one_that_others_can_open() -> None:
    assert page_address("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    address = page_address("::1", 81, "ab+cd/ef==gh&ij=kl#mn")
    assert address.startswith("http://[::1]:81/?") and "#" not in address
    assert parse_qs(urlsplit(address).query) == {"token": ["ab+cd/ef==gh&ij=kl#mn"]}
    for host in ("0.0.0.0", "::", ""):
        name = urlsplit(page_address(host, 82, TOKEN)).hostname
        assert name and name not in ("0.0.0.0", "::")


@pytest.mark.parametrize(
    ("host", "origin", "token", "own"),
    [
        ("127.0.0.1:7860", None, None, True),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", None, True),
        ("localhost:7860", "http://localhost:7860", None, True),
        ("[::1]:7860", "http://[::1]:7860", None, True),
        ("127.0.0.1:7860", "https://evil.example", None, False),
        ("127.0.0.1:7860", "http://127.0.0.1:9999", None, False),
        ("127.0.0.1:7860", "null", None, False),
        ("[", None, None, False),
        ("[", None, TOKEN, False),
        ("127.0.0.1:7860", "http://[", None, False),
        ("studio.example", "http://[", TOKEN, False),
        ("evil.example:7860", "http://evil.example:7860", None, False),
        (None, None, None, False),
        ("studio.example", "https://studio.example", TOKEN, True),
        ("studio.example", "https://evil.example", TOKEN, False),
    ],
)
def test_other_sites_are_refused(host: str | None, origin: str | None, token: str | None, own: bool) -> None:
    assert is_own_page(host, origin, token) is own
