"""Means that say how sure they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import t as student


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None, float | None]:
    """Mean and the ends of its confidence interval (Student's t); without ends for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(student.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def mean_over_people(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """(person, value of a clip) -> each person's mean: who has more clips counts no more."""
    people: dict[str, list[float]] = defaultdict(list)
    for person, value in values:
        people[person].append(value)
    return {person: float(np.mean(of_person)) for person, of_person in people.items()}


def score(values: Iterable[tuple[int, str, float | None]]) -> dict[str, object] | None:
    """(repeat, person, value) of clips -> mean, low, high, over, count; None where there is no value.

    The mean is over people. Of several repeats the interval is of their means (DiffPoseTalk Table 1: how much a new
    run would change the figure); of one it is over people (how much other people would).
    """
    known = [(repeat, person, value) for repeat, person, value in values if value is not None and np.isfinite(value)]
    if not known:
        return None
    repeats = sorted({repeat for repeat, _, _ in known})
    people = [list(mean_over_people((p, v) for r, p, v in known if r == repeat).values()) for repeat in repeats]
    over = "repeats" if len(repeats) > 1 else "people" if len(people[0]) > 1 else None
    mean, low, high = interval([float(np.mean(of_repeat)) for of_repeat in people] if over == "repeats" else people[0])
    return {"mean": mean, "low": low, "high": high, "over": over, "count": len(known)}
