"""Configuration files: YAML with `base:` and overrides, checked against the types of what they configure.

A file may name another one, `base: other.yaml` (relative to itself), whose sections it changes key by key; null removes
a section, or a key at the top. `${data_root}` in a value stands for the key `data_root`. `build` compares the result
with the type hints of a dataclass: whatever does not fit is one line that names file, section and key.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import check_input

DATA_ROOT = "../shared"
"""The default of the key `data_root`."""

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}


class _Loader(yaml.SafeLoader):
    """YAML in which no key is given twice: the first of them would be ignored silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    try:
        content = yaml.load(check_input(path).read_text(encoding="utf-8"), _Loader)
    except (UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a configuration (it has no `KEY: VALUE`)")
    return content


class Config:
    """The merged values of a configuration, and where each of them was written.

    Attributes:
        name: for messages: the file.
        values: nested dicts, lists and scalars as YAML reads them.
    """

    def __init__(self, name: str | Path) -> None:
        self.name, self.values = str(name), {}
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
            if not isinstance(value, dict):
                self._sources[(*path, key)] = source
            elif not isinstance(values.get(key), dict):
                self._sources[(*path, key)], values[key] = source, {}
            if isinstance(value, dict):
                self._merge(values[key], value, source, (*path, key))
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
            changes = yaml.load(value, _Loader)
        except yaml.YAMLError as error:
            raise UsageError(f"the value of the override {text!r} is not YAML") from error
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
        if not isinstance(base, str | None):
            raise InputError(f"{following}: `base` must be the name of a file, not {base!r}")
        chain.append((following, content))
        following = Path(os.path.normpath(following.parent / base)) if base else None
    return chain


@dataclasses.dataclass(frozen=True)
class Arguments:
    """For type hints, `Annotated[dict[str, Any], Arguments(f)]`: a section with keyword arguments of f.

    Attributes:
        target: a function, a class or a dataclass. Where a class passes `**kwargs` on, its base's arguments count too.
        without: arguments that do not come from a config.
    """

    target: Any
    without: tuple[str, ...] = ()

    def parameters(self) -> dict[str, tuple[Any, bool]]:
        """Name -> type hint, and whether there is no default."""
        if dataclasses.is_dataclass(self.target):
            functions, hints = [self.target], get_type_hints(self.target, include_extras=True)
        elif isinstance(self.target, type):
            functions, hints = [vars(c)["__init__"] for c in self.target.__mro__[:-1] if "__init__" in vars(c)], {}
        else:
            functions, hints = [self.target], {}
        found: dict[str, tuple[Any, bool]] = {}
        for function in functions:
            hints = hints or get_type_hints(function, include_extras=True)
            parameters = inspect.signature(function).parameters.values()
            named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
            found = {p.name: (hints.get(p.name, Any), p.default is p.empty) for p in named} | found
            hints = {}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return {name: parameter for name, parameter in found.items() if name not in self.without}

    def check(self, config: Config, values: Any, path: tuple[str, ...], also: Iterable[str] = ()) -> dict[str, Any]:
        """Convert a section to arguments. Raises InputError: a key is unknown or missing, or a value does not fit."""
        parameters = self.parameters()
        if values is None:  # `section:` with nothing below it
            values = {}
        if not isinstance(values, dict):
            raise _misfit(config, path, "a section of `KEY: VALUE`", values)
        known = [*parameters, *also]
        for key in values:
            if key not in known:
                raise config.error((*path, key), unknown_key(str(key), known, "key" if path else "section or key"))
        for name, (_, required) in parameters.items():
            if required and name not in values:
                section = f"section `{'.'.join(path)}`: " if path else ""
                raise InputError(f"{config.name}: {section}`{name}` is missing")
        return {
            key: _convert(config, parameters[key][0], value, (*path, key))
            for key, value in values.items()
            if key in parameters
        }


def unknown_key(key: str, known: Iterable[str], kind: str = "key") -> str:
    """The complaint about a key that does not exist, with the one that was perhaps meant, and all that do."""
    close = _closest(key, known)
    return f"unknown {kind} `{key}` ({f'did you mean `{close}`? ' if close else ''}known: {', '.join(known)})"


def _closest(key: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(key), known, n=1)), None)


def build(config: Config, kind: Any, values: Any, path: tuple[str, ...] = (), also: Iterable[str] = ()) -> Any:
    """Build a dataclass from the values of a section.

    Args:
        config: for messages.
        kind: the dataclass; of a union of dataclasses the one that fits the values best.
        values: of the section.
        path: of the section.
        also: further keys that the section may have.

    Raises:
        InputError: a key is unknown or missing, or a value has another type; one line.
    """
    if get_origin(kind) in (Union, UnionType):
        kind = _best_of(config, get_args(kind), values, path)
    arguments = Arguments(kind).check(config, values, path, also)
    try:
        return kind(**arguments)
    except (ValueError, Fd2TalkError) as error:  # of __post_init__: a combination that is not possible
        raise config.error((*path, ""), str(error)) from error


def _best_of(config: Config, kinds: Iterable[type], values: Any, path: tuple[str, ...]) -> type:
    """The dataclass with the most of a section's keys, among those whose literal fields have the section's values."""
    values = values if isinstance(values, dict) else {}
    hints = {kind: get_type_hints(kind) for kind in kinds if kind is not NoneType}
    fitting = list(hints)
    for key, value in values.items():
        choices = {kind: get_args(of[key]) for kind, of in hints.items() if get_origin(of.get(key)) is Literal}
        if choices and not any(value in of_kind for of_kind in choices.values()):
            raise _misfit(config, (*path, key), _one_of(c for of_kind in choices.values() for c in of_kind), value)
        fitting = [kind for kind in fitting if kind not in choices or value in choices[kind]]
    # A mistyped key counts for the dataclass that has the one that was meant.
    return max(fitting or hints, key=lambda kind: sum(_closest(key, hints[kind]) is not None for key in values))


def _convert(config: Config, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
    """A value as YAML reads it -> the value that a type hint asks for."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return options[1].check(config, value, path)
    if origin in (Union, UnionType):
        return _convert_union(config, hint, value, path)
    if dataclasses.is_dataclass(hint):
        return build(config, hint, value, path)
    if origin is Literal:
        if value is False and "no" in options:  # YAML reads `no` as false
            value = "no"
        if not isinstance(value, list | dict) and value in options:
            return value
    elif origin in (list, tuple) and isinstance(value, list):
        return origin(_convert(config, options[0], item, path) for item in value)
    elif origin is dict and isinstance(value, dict):
        return {key: _convert(config, options[1], item, (*path, key)) for key, item in value.items()}
    elif hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)  # YAML reads 1e-4 as a text
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is Any or (hint in _NAMES and type(value) is hint):
        return value
    raise _misfit(config, path, _describe(hint), value)


def _convert_union(config: Config, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
    options = [option for option in get_args(hint) if option is not NoneType]
    if value is None and len(options) < len(get_args(hint)):
        return None
    if len(options) == 1:
        return _convert(config, options[0], value, path)
    if all(map(dataclasses.is_dataclass, options)):
        return build(config, hint, value, path)
    for option in options:
        with suppress(InputError):
            return _convert(config, option, value, path)
    raise _misfit(config, path, _describe(hint), value)


def _describe(hint: Any) -> str:
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_describe(option) for option in options))
    if origin is Literal:
        return _one_of(options)
    if origin in (list, tuple):
        return f"a list, each item {_describe(options[0])}"
    return "null" if hint is NoneType else _NAMES.get(hint, "a section of `KEY: VALUE`")


def _one_of(choices: Iterable[Any]) -> str:
    return f"one of {', '.join(map(str, choices))}"


def _misfit(config: Config, path: tuple[str, ...], wanted: str, value: Any) -> InputError:
    return config.error(path, f"`{path[-1] if path else 'the file'}` must be {wanted}, not {value!r}")
