"""Options from a file of settings, a table or a program, in the place of the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import click

from shared.errors import UsageError

# Whole numbers as tables write them where a cell of the column is empty.
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
# A range that ends beyond has no end worth saying.
_ENDLESS = 2**31


def read_config(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
    """Set the options' defaults from a YAML file; what the command line says takes precedence."""
    if path is None:
        return
    values = read_yaml(path)
    try:
        ctx.default_map = defaults_of(ctx.command, values, without=("config", "output"))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def read_yaml(path: str) -> dict[Any, object]:
    """Read lines `option: value`. Raises UsageError: the file cannot be read, or has something else."""
    import yaml

    try:
        with open(path, encoding="utf-8-sig") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:  # ValueError: a 45th of May, no UTF-8
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"cannot read {path}: {reason}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: not a config; it must consist of lines `option: value`")
    return values


def defaults_of(command: click.Command, values: Mapping[Any, object], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Defaults of a command's options from values by name, with `-` or `_`, and `crop` or `no-rest` as opposites.

    Args:
        command: whose options.
        values: text, numbers, or truth values of switches, in a list for an option that may be repeated; None is not
            given. In text a whole number may be `7.0`. click checks the values when the command runs.
        without: options that cannot be set so.

    Raises:
        UsageError: there is no such option, or it takes no value of this kind.
    """
    options = _options(command, without)
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        option, opposite = options.get(name), None if name in options else _opposite(options, name)
        if option is None and opposite is None:
            raise UsageError(f"there is no option {key} (there are: {', '.join(names_of(command, without))})")
        if value is None:
            continue
        if opposite is not None:
            defaults[str(opposite.name)] = not _truth(key, value)
        elif option is not None and option.multiple:
            several = value if isinstance(value, (list, tuple)) else [value]
            defaults[name] = tuple(_checked(key, option, one) for one in several)
        elif option is not None:
            defaults[name] = _checked(key, option, value)
    return defaults


def names_of(command: click.Command, without: tuple[str, ...] = ()) -> list[str]:
    """Names that a config may have, as the command line writes them, with both of `full` and `crop`."""
    return sorted(
        {
            name.lstrip("-")
            for option in _options(command, without).values()
            for name in (str(option.name).replace("_", "-"), *option.secondary_opts)
        }
    )


def refusal(error: click.ClickException) -> str:
    """What click says of a value, in a sentence for those who gave it by name: `seed: 'x' is no whole number ...`."""
    if not isinstance(error, click.BadParameter) or error.param is None:
        return error.format_message().rstrip(".")
    name, message = str(error.param.name).replace("_", "-"), error.message.rstrip(".")
    shown, _, _ = message.partition(" is not ")
    kind = error.param.type
    if isinstance(kind, click.types.BoolParamType):
        return f"{name}: {shown} is neither true nor false"
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        what = "whole number" if isinstance(kind, click.IntRange) else "number"
        most = "on" if kind.max is None or kind.max > _ENDLESS else f"to {kind.max:g}"
        return f"{name}: {shown} is no {what} from {kind.min:g} {most}"
    return f"{name}: {message}"


def _options(command: click.Command, without: tuple[str, ...]) -> dict[str, click.Option]:
    return {str(p.name): p for p in command.params if isinstance(p, click.Option) and p.name not in without}


def _opposite(options: Mapping[str, click.Option], name: str) -> click.Option | None:
    """The switch that a name is the opposite of: `crop` of `full`, `blinks` of `no_blinks`."""
    for option in options.values():
        if option.is_flag and name in (other.lstrip("-").replace("-", "_") for other in option.secondary_opts):
            return option
    other = options.get(name.removeprefix("no_") if name.startswith("no_") else f"no_{name}")
    return other if other is not None and other.is_flag else None


def _truth(key: object, value: object) -> bool:
    """A truth value, or text that stands for one. Raises UsageError."""
    if isinstance(value, (bool, str)):
        try:
            return bool(click.BOOL.convert(value, None, None))
        except click.BadParameter:
            pass
    raise UsageError(f"{key} takes true or false, not {value!r}")


def _checked(key: object, option: click.Option, value: object) -> Any:
    """A value that click can check without an exception of another kind. Raises UsageError."""
    if option.is_flag:
        if not isinstance(value, (bool, str)):
            raise UsageError(f"{key} takes true or false, not {value!r}")
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, (str, Real)):  # a list, a date, bytes
        raise UsageError(f"{key} takes one value, as text or a number, not {value!r}")
    whole, number = isinstance(option.type, click.IntRange), isinstance(option.type, click.FloatRange)
    if whole and isinstance(value, str) and (match := _WHOLE.fullmatch(value.strip())):
        return match[1]
    if whole and isinstance(value, (bool, float)):
        raise UsageError(f"{key} takes a whole number, not {value!r}")
    if isinstance(value, bool):
        raise UsageError(f"{key} takes {'a number' if number else 'text (in quotes)'}, not {value!r}")
    if number and isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise UsageError(f"{key} takes a number, and none of so many digits") from None
    return value
