"""Means with confidence intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from scipy.stats import t as student


def interval(
    values: Sequence[float], weights: Sequence[float] | None = None, confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """Return the mean and the ends of its confidence interval (Student's t); None for the ends of a single value.

    The variance of a weighted mean is that of a ratio of sums, linearised (Cochran 1977, section 6.4).

    Args:
        values: independent values.
        weights: of the values; None for equal ones.
        confidence: probability that the interval contains the expected mean.
    """
    mean = float(np.average(values, weights=weights))
    if len(values) < 2:
        return mean, None, None
    share = np.ones(len(values)) if weights is None else np.asarray(weights) / np.mean(weights)
    variance = np.sum((share * (np.asarray(values) - mean)) ** 2) / (len(values) - 1)
    half = float(student.ppf((1 + confidence) / 2, len(values) - 1) * np.sqrt(variance / len(values)))
    return mean, mean - half, mean + half


def mean_over_people(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """(person, value of a clip) -> each person's mean, so that every person has the same weight."""
    people: dict[str, list[float]] = defaultdict(list)
    for person, value in values:
        people[person].append(value)
    return {person: float(np.mean(of_person)) for person, of_person in people.items()}


def score(
    values: Sequence[float], over: str | None, count: int, weights: Sequence[float] | None = None
) -> dict[str, Any]:
    """Return a score as reports store it.

    Args:
        values: the values that are averaged.
        over: what the interval is over: `repeats`, `people`, or None for a single value.
        count: the number of clips.
        weights: of the values; None for equal ones.
    """
    mean, low, high = interval(values, weights)
    return {"mean": mean, "low": low, "high": high, "over": over, "count": count}


def score_of_clips(
    values: Iterable[tuple[int, str, float | None]], weights: Iterable[float] | None = None
) -> dict[str, Any] | None:
    """Return the mean over people or, with weights, over everything at once, and its interval over repeats or people.

    The interval of several repeats is that of their means (DiffPoseTalk Table 1: how much a new run would change the
    value); that of a single repeat is over people (how much other people would).

    Args:
        values: (repeat, person, value) of clips.
        weights: of the clips; None for people of equal weight, each one's clips averaged.

    Returns:
        What `score` returns; None if there is no value.
    """
    given = zip(values, repeat(1.0) if weights is None else weights)
    known = [(run, who, x, weight) for (run, who, x), weight in given if x is not None and np.isfinite(x)]
    if not known:
        return None
    runs = []
    for run in sorted({run for run, *_ in known}):
        people: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for _, person, value, weight in (clip for clip in known if clip[0] == run):
            people[person].append((value, weight))
        clips = [np.array(of_person).T for of_person in people.values()]
        means = [float(np.average(value, weights=weight)) for value, weight in clips]
        runs.append((means, [1.0 if weights is None else float(weight.sum()) for _, weight in clips]))
    if len(runs) > 1:
        return score([float(np.average(means, weights=of_people)) for means, of_people in runs], "repeats", len(known))
    means, of_people = runs[0]
    return score(means, "people" if len(means) > 1 else None, len(known), of_people)
