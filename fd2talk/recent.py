"""A small LRU cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Recent:
    """A least-recently-used cache of values by kind and key. Not thread-safe.

    Args:
        most: values of each kind; None: no limit.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._kinds: dict[str, OrderedDict[Hashable, Any]] = {}

    def kept(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return the cached value of a key, or make it; if `make` raises, the cache is unchanged."""
        values = self._kinds.setdefault(kind, OrderedDict())
        if key not in values:
            values[key] = make()
            if self._most is not None and len(values) > self._most:
                values.popitem(last=False)
        values.move_to_end(key)
        value: T = values[key]
        return value
