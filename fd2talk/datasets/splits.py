"""Splits by speaker in the proportions of the papers.

The papers print how many people or which share belongs to a split, not who; theirs are other people than ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

NAMES = ("train", "val", "test")


def split_people(people: Iterable[str], shares: tuple[int, int, int], seed: int = 0) -> dict[str, str]:
    """Assign each person to train, val or test.

    Which people is drawn by a hash of seed and name, so that neither the order of the files nor the machine matters.

    Args:
        people: names; repetitions do not count.
        shares: sizes, or their proportions.
        seed: of the draw.

    Returns:
        Person -> split. As many people as `shares` adds up to are split into exactly these sizes; of other numbers,
            each split gets its proportion, rounded by the largest remainder (the earlier split where two are equal).
    """
    names = sorted(set(people), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    total = sum(shares)
    counts = [len(names) * share // total for share in shares]
    remainders = [len(names) * share % total for share in shares]
    for place in sorted(range(len(shares)), key=lambda place: -remainders[place])[: len(names) - sum(counts)]:
        counts[place] += 1
    splits = [split for split, count in zip(NAMES, counts) for _ in range(count)]
    return dict(zip(names, splits))
