"""Digests of source code: what other code measured or generated is not reused."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fd2talk.project_warnings import PACKAGES

_REGISTRY = "registry"  # a module of this name lists packages whose module `model` is imported at run time


@cache
def code_digest(*modules: str) -> str:
    """Return a digest of the sources of modules and of every module of the project that they import.

    Imports at the top, inside functions and by a registry count, directly or through other modules. No code is run;
    comments, layout and libraries do not count.
    """
    hasher = hashlib.sha256()
    for name, tree in sorted(_sources(modules).items()):
        hasher.update(f"{name} {ast.dump(tree)}\n".encode())
    return hasher.hexdigest()


def _sources(modules: tuple[str, ...]) -> dict[str, ast.Module]:
    """Name -> syntax tree of the modules and everything of the project that they import."""
    found: dict[str, ast.Module] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path is not None:
            found[name] = ast.parse(path.read_bytes())
            waiting += [name.rpartition(".")[0], *_imported(found[name], name.endswith(f".{_REGISTRY}"))]
    return found


def _imported(tree: ast.Module, is_registry: bool) -> list[str]:
    """Names that may be modules of the project: `from a import b` gives a, and a.b, which may be one."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif is_registry and isinstance(node, ast.Constant) and isinstance(node.value, str):
            names += [node.value, f"{node.value}.model"]
    return names


def _file(module: str) -> Path | None:
    """The source of a module of the project; None if there is no such module, or it is not of the project."""
    package, *rest = module.split(".")
    spec = find_spec(package) if package in PACKAGES else None
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
