import pytest

from fd2talk.serving import check_address, is_own_page, knows
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


def test_only_the_token_opens() -> None:
    assert knows(TOKEN, TOKEN)
    assert not knows(TOKEN, None)
    assert not knows(TOKEN, TOKEN[:-1])
    assert not knows(TOKEN, "")
    assert knows(None, None)


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
        ("evil.example:7860", "http://evil.example:7860", None, False),
        (None, None, None, False),
        ("studio.example", "https://studio.example", TOKEN, True),
        ("studio.example", "https://evil.example", TOKEN, False),
    ],
)
def test_other_sites_are_refused(host: str | None, origin: str | None, token: str | None, own: bool) -> None:
    assert is_own_page(host, origin, token) is own
