"""The rooms of the project: every module imports, and arrows point one way (shared <- stages <- fd2talk)."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "shared": {"shared"},
    "stage1_motion": {"shared", "stage1_motion"},
    "stage2_render": {"shared", "stage2_render"},
    "fd2talk": {"shared", "stage1_motion", "stage2_render", "fd2talk"},
}
MODULES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))


def imported(path):
    """Top-level names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


def test_there_is_something_to_check():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_module_imports_what_it_may(path):
    rooms = set(imported(path)) & MAY_IMPORT.keys()
    assert rooms <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]
    if path.name != "__main__.py":
        parts = path.relative_to(ROOT).with_suffix("").parts
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def test_nothing_else_lies_at_the_top():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)
