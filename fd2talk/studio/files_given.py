"""Gradio components for uploaded files: their value is the path, so that no file is decoded before it is checked."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta


def _as_path(component: type) -> Any:
    """A gradio component of the same kind and look, whose `preprocess` returns the path alone.

    It is a class, as gradio constructs a component again, from class and arguments, whenever a session updates it.
    `ComponentMeta.__new__` is bypassed, as it would write a stub file beside this module.
    """

    def preprocess(self: Any, payload: Any) -> str | None:
        return None if payload is None else payload.path

    names = {"preprocess": preprocess, "is_template": True, "__module__": __name__}
    return ABCMeta.__new__(ComponentMeta, component.__name__, (component,), names)


ImageFile = _as_path(gr.Image)
SoundFile = _as_path(gr.Audio)
AnyFile = _as_path(gr.File)
