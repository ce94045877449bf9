"""Options from a file of settings, a table or a program, in the place of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shared.errors import UsageError


def read_config(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
    """Set the options' defaults from a YAML file; what the command line says takes precedence."""
    if path is None:
        return
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"cannot read {path}: {reason}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: not a config; it must consist of lines `option: value`")
    try:
        ctx.default_map = defaults_of(ctx.command, values, without=("config", "output"))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def defaults_of(command: click.Command, values: Mapping[Any, object], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Defaults of a command's options from values by name, with `-` or `_`, and `crop` or `no-rest` as opposites.

    Args:
        command: whose options.
        values: text, numbers, or truth values of switches; click checks them when the command runs.
        without: options that cannot be set so.

    Raises:
        UsageError: there is no such option, or it takes no value of this kind.
    """
    options = {p.name for p in command.params if isinstance(p, click.Option)} - {*without}
    defaults = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        opposite = "full" if name == "crop" else name.removeprefix("no_") if name.startswith("no_") else f"no_{name}"
        if name not in options and opposite in options and isinstance(value, bool):
            name, value = opposite, not value
        if name not in options:
            known = ", ".join(sorted(map(str, options))).replace("_", "-")
            raise UsageError(f"there is no option {key} (there are: {known})")
        parameter = next(p for p in command.params if p.name == name)
        is_switch = isinstance(parameter, click.Option) and parameter.is_flag
        if isinstance(value, (dict, list)) or (is_switch and not isinstance(value, (bool, str))):
            raise UsageError(f"{key} takes {'true or false' if is_switch else 'one value'}, not {value!r}")
        if not is_switch and isinstance(value, (bool, float)) and isinstance(parameter.type, click.IntRange):
            raise UsageError(f"{key} takes a whole number, not {value!r}")
        defaults[name] = value
    return defaults
