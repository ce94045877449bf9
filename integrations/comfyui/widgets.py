"""Widgets from the options of the command line: names, ranges, defaults and help have one source, and one parser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from fd2talk.cli_config import defaults_of
from shared.errors import UsageError

UNSET = -1
"""Value of a number's widget for "not given", as widgets cannot be empty."""

# Largest integer that browsers represent exactly.
_LARGEST = 2**53 - 1


class Widgets:
    """Widgets for options of the command line, and the parser of their values.

    Args:
        options: decorators of `fd2talk.cli_options`.
        only: names of the options that become widgets; the others keep their defaults. None: all of them.
        basic: names of the widgets that are always shown; the others are marked as advanced.
    """

    def __init__(
        self, *options: Callable, only: tuple[str, ...] | None = None, basic: tuple[str, ...] | None = None
    ) -> None:
        def grouped(**values: Any) -> dict[str, Any]:
            return values

        for option in reversed(options):
            grouped = option(grouped)
        self._command = click.command("fd2talk")(grouped)
        found = [one for one in self._command.params if isinstance(one, click.Option)]
        shown = [one for one in found if one.expose_value and (only is None or one.name in only)]
        self._options = {str(one.name): one for one in shown}
        self._defaults = {name: _default(option, self._command) for name, option in self._options.items()}
        self._basic = basic

    def inputs(self) -> dict[str, tuple]:
        """For `INPUT_TYPES`: name -> type and settings."""
        return {
            name: _widget(option, self._defaults[name], advanced=self._basic is not None and name not in self._basic)
            for name, option in self._options.items()
        }

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parse values of the widgets to the arguments of a command.

        Args:
            values: by widget; unknown names are ignored.

        Raises:
            UsageError: an invalid value; the message is that of the command line.
        """
        given = {}
        for name, default in self._defaults.items():
            value = values.get(name)
            if value is None or (default is None and value in ("", UNSET)):
                continue
            given[name] = value
        try:
            context = self._command.make_context("fd2talk", [], default_map=defaults_of(self._command, given))
            with context:
                return self._command.invoke(context)
        except click.ClickException as error:
            raise UsageError(error.format_message().rstrip(".")) from None


def _default(option: click.Option, command: click.Command) -> str | float | bool | None:
    """The default of an option; None also for click's own sentinels."""
    default = option.get_default(click.Context(command))
    return default if isinstance(default, (str, int, float, bool)) else None


def _widget(option: click.Option, default: str | float | bool | None, *, advanced: bool) -> tuple:
    kind = option.type
    settings: dict[str, Any] = {"tooltip": option.help or ""}
    if advanced:
        settings["advanced"] = True
    if option.is_flag:
        return "BOOLEAN", {**settings, "default": bool(default)}
    if isinstance(kind, click.Choice):
        choices = [str(choice) for choice in kind.choices]
        return choices, {**settings, "default": choices[0] if default is None else str(default)}
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        least, most = kind.min, kind.max
        if default is None:
            default = UNSET
            least = UNSET
            settings["tooltip"] += f" {UNSET}: not given."
        if isinstance(kind, click.IntRange):
            bounds: dict[str, Any] = {"min": least, "max": _LARGEST if most is None else min(most, _LARGEST), "step": 1}
            if option.name == "seed":
                bounds["control_after_generate"] = True
            return "INT", {**settings, "default": default, **bounds}
        return "FLOAT", {**settings, "default": default, "min": least, "max": most, "step": 0.05, "round": 0.001}
    return "STRING", {**settings, "default": "" if default is None else str(default)}
