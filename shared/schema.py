"""The check of a configuration against the type hints of what it configures: `build` makes a dataclass of a section.

Whatever does not fit is one line that names file (or override), section and key.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from shared.config import Config
from shared.errors import Fd2TalkError, InputError

_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}


@dataclass(frozen=True)
class Arguments:
    """For type hints, `Annotated[dict[str, Any], Arguments(f)]`: a section with keyword arguments of f.

    Attributes:
        target: a function, a class or a dataclass. Where a class passes `**kwargs` on, its base's arguments count too.
        without: arguments that do not come from a config.
    """

    target: Any
    without: tuple[str, ...] = ()

    def parameters(self) -> dict[str, tuple[Any, bool]]:
        """Name -> type hint, and whether it is required."""
        if is_dataclass(self.target):
            hints = get_type_hints(self.target, include_extras=True)
            required = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(self.target)}
            found = {name: (hints[name], needed) for name, needed in required.items()}
        else:
            found = _of_function(self.target)
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
                section = f"section `{'.'.join(map(str, path))}`: " if path else ""
                raise InputError(f"{config.name}: {section}`{name}` is missing")
        return {
            key: _convert(config, parameters[key][0], value, (*path, key))
            for key, value in values.items()
            if key in parameters
        }


def _of_function(target: Any) -> dict[str, tuple[Any, bool]]:
    """`Arguments.parameters` of a function or of a class with `__init__`."""
    bases = target.__mro__[:-1] if isinstance(target, type) else ()
    found: dict[str, tuple[Any, bool]] = {}
    for function in [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [target]:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        found = {p.name: (hints.get(p.name, Any), p.default is p.empty) for p in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


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
    if is_dataclass(hint):
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
    if all(map(is_dataclass, options)):
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
