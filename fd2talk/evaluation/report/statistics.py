"""Means with confidence intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None, float | None]:
    """Return the mean and the ends of its confidence interval (Student's t); None for the ends of a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(student.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def mean_over_people(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """(person, value of a clip) -> each person's mean, so that every person has the same weight."""
    people: dict[str, list[float]] = defaultdict(list)
    for person, value in values:
        people[person].append(value)
    return {person: float(np.mean(of_person)) for person, of_person in people.items()}


def score(values: Sequence[float], over: str | None, count: int) -> dict[str, Any]:
    """Return a score as reports store it.

    Args:
        values: the values that are averaged.
        over: what the interval is over: `repeats`, `people`, or None for a single value.
        count: the number of clips.
    """
    mean, low, high = interval(values)
    return {"mean": mean, "low": low, "high": high, "over": over, "count": count}


def score_of_clips(values: Iterable[tuple[int, str, float | None]]) -> dict[str, Any] | None:
    """Return the mean over people, with the interval over repeats or people.

    The interval of several repeats is that of their means (DiffPoseTalk Table 1: how much a new run would change the
    value); that of a single repeat is over people (how much other people would).

    Args:
        values: (repeat, person, value) of clips.

    Returns:
        What `score` returns; None if there is no value.
    """
    known = [(repeat, person, value) for repeat, person, value in values if value is not None and np.isfinite(value)]
    if not known:
        return None
    repeats = sorted({repeat for repeat, _, _ in known})
    people = [list(mean_over_people((p, v) for r, p, v in known if r == repeat).values()) for repeat in repeats]
    if len(repeats) > 1:
        return score([float(np.mean(of_repeat)) for of_repeat in people], "repeats", len(known))
    return score(people[0], "people" if len(people[0]) > 1 else None, len(known))
