"""Markdown tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def print_head(columns: Iterable[object], title: str = "") -> None:
    """Print a table's title, if it has one, and its header row."""
    cells = [*columns]
    if title:
        print(f"\n{title}\n")
    print_row(cells)
    print(f"|{'---|' * len(cells)}")


def print_row(cells: Iterable[object]) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_figures(heading: str, figures: Mapping[str, object]) -> None:
    """Print a table of two columns: names under the heading, and their figures."""
    print_head([heading, ""])
    for row in figures.items():
        print_row(row)


def verdict(passed: bool) -> str:
    """Whether a figure is on its target."""
    return "on target" if passed else "below target"
