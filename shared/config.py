"""Configuration files: YAML with `base:` and overrides; `shared.schema` checks them.

A file may name another one, `base: other.yaml` (relative to itself), whose sections it changes key by key; null removes
a section, or a key at the top. `${data_root}` in a value stands for the key `data_root`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.errors import InputError, UsageError
from shared.files import check_input

DATA_ROOT = "../shared"
"""The default of the key `data_root`."""

_REFERENCE = re.compile(r"\$\{([^}]*)\}")


class _Loader(yaml.SafeLoader):
    """YAML in which no key is given twice: the first of them would be ignored silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Any:
    """Parse YAML. Raises ValueError, with one line, where it is none or its values cannot be represented."""
    try:
        value = yaml.load(text, _Loader)
        json.dumps(value, default=str)  # a value that contains itself, or nested without end
        return value
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except (ValueError, AttributeError, TypeError, OverflowError, yaml.YAMLError) as error:
        raise ValueError(" ".join(str(error).replace('in "<unicode string>", ', "").split())) from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    try:
        content = _parse(check_input(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a configuration (it has no `KEY: VALUE`)")
    return content


class Config:
    """The merged values of a configuration, and the file or override that each of them comes from.

    Attributes:
        name: for messages: the file.
        values: nested dicts, lists and scalars as YAML reads them.
    """

    def __init__(self, name: str | Path) -> None:
        self.name = str(name)
        self.values: dict[str, Any] = {}
        self._sources: dict[tuple[str, ...], str] = {}

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> Config:
        """Read a file, the files that it is based on, and overrides such as ``training.max_steps=10``.

        Raises:
            InputError: a file cannot be read, or is its own base.
            UsageError: an override is not KEY=VALUE.
        """
        config = cls(path)
        for file, content in reversed(_with_bases(path)):
            config.merge(content, str(file))
        for override in overrides:
            config.override(override)
        return config

    def merge(self, changes: Mapping[str, Any], source: str) -> None:
        """Change values, section by section. Messages about these values name `source`."""
        self._merge(self.values, changes, source, ())

    def _merge(self, values: dict[str, Any], changes: Mapping[str, Any], source: str, path: tuple[str, ...]) -> None:
        for key, value in changes.items():
            where = (*path, key)
            if not isinstance(value, dict):
                self._sources[where] = source
            elif not isinstance(values.get(key), dict):
                self._sources[where], values[key] = source, {}
            if isinstance(value, dict):
                self._merge(values[key], value, source, where)
            elif value is None and (not path or isinstance(values.get(key), dict)):
                values.pop(key, None)
            else:
                values[key] = value

    def override(self, text: str) -> None:
        """Apply ``KEY.SUBKEY=VALUE`` with a value in YAML. Raises UsageError when it is something else."""
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            raise UsageError(f"{text!r} is no override (write KEY=VALUE, such as training.max_steps=10)")
        try:
            changes = _parse(value)
        except ValueError as error:
            raise UsageError(f"the value of the override {text!r} is not YAML: {error}") from error
        for key in reversed(name.split(".")):
            changes = {key: changes}
        self.merge(changes, f"override {text}")

    def resolved(self) -> dict[str, Any]:
        """The values with `${data_root}` replaced. Raises InputError where `${...}` is another name."""
        root = self.values.get("data_root", DATA_ROOT)
        if not isinstance(root, str):
            raise self.error(("data_root",), f"`data_root` must be a text, not {root!r}")
        return {key: self._resolved(value, root, (key,)) for key, value in self.values.items()}

    def _resolved(self, value: Any, root: str, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(item, root, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item, root, path) for item in value]
        if not isinstance(value, str):
            return value
        if unknown := set(_REFERENCE.findall(value)) - {"data_root"}:
            raise self.error(path, f"`{path[-1]}` refers to ${{{min(unknown)}}}; there is only ${{data_root}}")
        return _REFERENCE.sub(lambda _: root, value)

    def error(self, path: tuple[str, ...], message: str) -> InputError:
        """The error about the key at a path: the file or override that has it, its section, and the message."""
        source = next((self._sources[key] for key in (path, path[:-1]) if key in self._sources), self.name)
        section = f"section `{'.'.join(map(str, path[:-1]))}`: " if path[:-1] else ""
        return InputError(f"{source}: {section}{message}")


def _with_bases(path: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """A file and its bases, each with its content without the key `base`."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    following: Path | None = Path(path)
    while following is not None:
        if any(following.resolve() == file.resolve() for file, _ in chain):
            circle = " -> ".join(str(file) for file in [*(file for file, _ in chain), following])
            raise InputError(f"{path}: `base` leads in a circle: {circle}")
        try:
            content = read_yaml(following)
        except InputError as error:
            raise InputError(f"{chain[-1][0]}: `base`: {error}" if chain else str(error)) from error
        base = content.pop("base", None)
        if not isinstance(base, str | None) or "\0" in (base or ""):
            raise InputError(f"{following}: `base` must be the name of a file, not {base!r}")
        chain.append((following, content))
        following = Path(os.path.normpath(following.parent / base)) if base else None
    return chain
