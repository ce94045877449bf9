"""Clients of a service and their tokens: no token, a single one, or named clients with a token each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fd2talk.serving import check_address, knows
from shared.errors import UsageError
from shared.files import check_input

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Clients:
    """Clients of a service. Without names all requests belong to one client, `""`.

    Args:
        tokens: name -> token; empty: no token is needed.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = dict(tokens)

    @classmethod
    def of(cls, token: str | None) -> Clients:
        """A single client without a name, with a token or None."""
        return cls({} if token is None else {"": token})

    @classmethod
    def read(cls, path: str | Path) -> Clients:
        """Read lines `NAME TOKEN`; empty lines and those that begin with # are skipped.

        Raises:
            InputError: there is no such file.
            UsageError: a line is malformed, or a name or a token occurs twice.
        """
        tokens: dict[str, str] = {}
        try:
            lines = check_input(path).read_text(encoding="utf-8").splitlines()
        except UnicodeError:
            raise UsageError(f"{path}: it is no text") from None
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            # Messages do not repeat the line, as it may contain a token.
            if len(words) != 2 or not _NAME.fullmatch(words[0]):
                raise UsageError(f"{path}, line {number}: not NAME TOKEN, a name of letters, digits, _, . and -")
            if words[0] in tokens or words[1] in tokens.values():
                raise UsageError(f"{path}, line {number}: its name or its token has been used before")
            tokens[words[0]] = words[1]
        if not tokens:
            raise UsageError(f"{path}: there is no line NAME TOKEN")
        return cls(tokens)

    @property
    def tokens(self) -> list[str]:
        """All tokens, which no log may show."""
        return [*self._tokens.values()]

    def check(self, host: str) -> None:
        """Check the tokens for an address. Raises UsageError: as `check_address`."""
        for name, token in self._tokens.items() or [("", None)]:
            try:
                check_address(host, token)
            except UsageError as error:
                raise UsageError(f"{name}: {error}" if name else str(error)) from None

    def named(self, given: str) -> str | None:
        """The name of the client with this token, or None.

        All tokens are compared, each in constant time.
        """
        if not self._tokens:
            return ""
        found = [name for name, token in self._tokens.items() if knows(token, given)]
        return found[0] if found else None
