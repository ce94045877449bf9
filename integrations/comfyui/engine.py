"""Pipelines, loaded when a node first needs them, and shared by all nodes and workflows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from fd2talk.options import MotionModelOptions, RendererOptions
from shared.device import require_device
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

_lock = threading.Lock()
_KEPT = 4


@contextmanager
def _loading() -> Iterator[None]:
    """One at a time; and outside of ComfyUI's inference mode, in which loaded weights would stay inference tensors."""
    with _lock, torch.inference_mode(False), torch.no_grad():
        yield


@lru_cache(maxsize=_KEPT)
def _motion(model: str | None, person: str | None, device: str) -> MotionPipeline:
    require_device(device)
    return MotionPipeline.from_pretrained(model=model, person=person, device=device)


@lru_cache(maxsize=_KEPT)
def _render(renderer: str, precision: str, device: str) -> RenderPipeline:
    require_device(device)
    return RenderPipeline.from_pretrained(renderer=renderer, precision=precision, device=device)


def motion_pipeline(options: MotionModelOptions, device: str = "cpu") -> MotionPipeline:
    """Stage one. Raises as `MotionPipeline.from_pretrained`."""
    loading: dict[str, Any] = options.loading
    if loading["person"]:  # a person's weights determine the model, which the widget always names
        loading = {**loading, "model": None}
    with _loading():
        return _motion(loading["model"], loading["person"], device)


def render_pipeline(options: RendererOptions, device: str = "cpu") -> RenderPipeline:
    """Stage two. Raises as `RenderPipeline.from_pretrained`."""
    with _loading():
        return _render(options.name, options.precision, device)


def style_names() -> list[str]:
    """Names of the speaking styles that come with the weights of DiffPoseTalk."""
    return sorted(path.stem for path in (Path(bundled("diffposetalk")) / "styles").glob("*.npz"))
