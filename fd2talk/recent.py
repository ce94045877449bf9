"""What was made is kept for the next time that it is needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Recent:
    """Values by kind and key: of each kind those that were used last. Not for several threads at once.

    Args:
        most: of each kind; None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._kinds: dict[str, OrderedDict[Hashable, Any]] = {}

    def kept(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """What has been made under this key, or is made now; what `make` raises leaves everything as it was."""
        values = self._kinds.setdefault(kind, OrderedDict())
        if key not in values:
            values[key] = make()
            if self._most is not None and len(values) > self._most:
                values.popitem(last=False)
        values.move_to_end(key)
        value: T = values[key]
        return value
