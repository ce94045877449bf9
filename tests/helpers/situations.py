"""The table of docs/compatibility.md: one row for each test that has a situation.

A row is a mark on the test that checks it, with three literal strings:

    @pytest.mark.situation("Sound", "a stereo recording with one channel turned over", "the louder channel is used")

`python -m pytest -m situation --compatibility` runs these tests and writes the table; `tests/test_compatibility.py`
says when it is out of date.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "compatibility.md"
KINDS = ("Faces", "Drivers", "Sound", "Pictures", "Exports", "Command line", "Surroundings")

_INTRODUCTION = """# What happens with unusual input

Situations that people of this field report, and what fd2talk does in each. Every row is a test that passed when this
page was written, by `python -m pytest -m situation --compatibility`; how to add one: `tests/helpers/situations.py`.
"""


@dataclass(frozen=True, order=True)
class Row:
    """A situation, what happens in it, and `path::function` of the test."""

    kind: str
    situation: str
    happens: str
    test: str


def rows() -> list[Row]:
    """Read the marks of all tests, which need not be imported for that."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.situation":
                    texts = [ast.literal_eval(argument) for argument in mark.args]
                    found.append(Row(*texts, f"{path.relative_to(ROOT).as_posix()}::{node.name}"))
    return sorted(found, key=lambda row: (KINDS.index(row.kind), row))


def document(table: list[Row]) -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for kind in KINDS:
        of_kind = [row for row in table if row.kind == kind]
        if of_kind:
            parts.append(f"## {kind}\n\n| situation | what happens | test |\n|---|---|---|")
            parts += [f"| {row.situation} | {row.happens} | `{row.test.rpartition('/')[2]}` |" for row in of_kind]
            parts.append("")
    return "\n".join(parts)


class Recorder:
    """A plugin of pytest that writes the page after a run in which every row's test passed."""

    def __init__(self) -> None:
        self._passed: set[str] = set()
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report) -> None:
        test = report.nodeid.split("[")[0]
        if report.when == "call" and report.passed:
            self._passed.add(test)
        elif not report.passed:
            self._failed.add(test)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        table = rows()
        missing = [row.test for row in table if row.test not in self._passed - self._failed]
        if missing:
            terminalreporter.write_line(f"{DOCUMENT} was not written; not passed: {', '.join(missing)}")
        else:
            DOCUMENT.write_text(document(table), encoding="utf-8")
            terminalreporter.write_line(f"{DOCUMENT}: {len(table)} situations")
