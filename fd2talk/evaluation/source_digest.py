"""Which code a figure comes from: what was measured by other code is measured again."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("fd2talk", "shared", "stage1_motion", "stage2_render")


@cache
def code_digest(*modules: str) -> str:
    """Digest over the sources of these modules of the project and of all of the project that they import, at the top
    or inside a function, directly or through others. Nothing is run; comments, layout and libraries do not count."""
    hasher = hashlib.sha256()
    for name, tree in sorted(_sources(modules).items()):
        hasher.update(f"{name} {ast.dump(tree)}\n".encode())
    return hasher.hexdigest()


def _sources(modules: tuple[str, ...]) -> dict[str, ast.Module]:
    """Name -> what is written there, of the modules and what they import."""
    found: dict[str, ast.Module] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path is not None:
            found[name] = ast.parse(path.read_bytes())
            waiting += [name.rpartition(".")[0], *_imported(found[name])]
    return found


def _imported(tree: ast.Module) -> list[str]:
    """What may be a module of the project: `from a import b` names a, and a.b, which may be one."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _file(module: str) -> Path | None:
    """The source of a module of the project; None: it is no module, or not of the project."""
    package, *rest = module.split(".")
    if package not in _PACKAGES:
        return None
    place = Path(find_spec(package).origin).parent.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
