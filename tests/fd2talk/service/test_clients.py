"""Clients and their tokens."""

import pytest

from fd2talk.service.clients import Clients
from shared.errors import InputError, UsageError

ONE, TWO = "correct-horse-battery", "staple-correct-horse"


def test_everybody_one_token_or_names():
    assert Clients.of(None).named("") == Clients.of(None).named("whatever") == ""
    assert Clients.of(ONE).named(ONE) == "" and Clients.of(ONE).named("") is Clients.of(ONE).named(TWO) is None
    clients = Clients({"anna": ONE, "ben": TWO})
    assert (clients.named(ONE), clients.named(TWO), clients.named(""), clients.named("anna")) == (
        "anna", "ben", None, None)  # fmt: skip


def test_a_file_of_tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# who may\n\nanna {ONE}\n  ben-2\t{TWO}  \n", encoding="utf-8")
    clients = Clients.read(path)
    assert (clients.named(ONE), clients.named(TWO)) == ("anna", "ben-2") and clients.tokens == [ONE, TWO]
    clients.check("0.0.0.0")


@pytest.mark.parametrize(
    ("text", "saying"),
    [("", "zero bytes"), ("# nobody\n", "no line NAME TOKEN"), (f"anna {ONE}\nben\n", "line 2: not NAME TOKEN"),
     (f"a/b {ONE}", "line 1: not NAME TOKEN"), (f"anna {ONE}\nanna {TWO}", "line 2: its name or its token"),
     (f"anna {ONE}\nben {ONE}", "line 2: its name or its token"), (f"anna {ONE} {TWO}", "line 1")],
)  # fmt: skip
def test_a_file_that_is_something_else_is_one_line_without_a_token(tmp_path, text, saying):
    (tmp_path / "tokens").write_text(text)
    with pytest.raises((InputError, UsageError), match=saying) as error:
        Clients.read(tmp_path / "tokens")
    assert ONE not in str(error.value) and TWO not in str(error.value)


def test_short_tokens_and_open_addresses_are_refused():
    with pytest.raises(UsageError, match="ben: a token of 5 characters"):
        Clients({"anna": ONE, "ben": "short"}).check("127.0.0.1")
    with pytest.raises(UsageError, match="give a --token"):
        Clients.of(None).check("0.0.0.0")
