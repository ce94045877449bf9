"""ComfyUI's functions for nodes: folders, progress, and interruption. ComfyUI's modules are imported on use."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_log = logging.getLogger("fd2talk")


def watcher() -> Callable[[int, int], None]:
    """Return a function (done, total) that updates the node's progress bar, and raises if the user pressed stop."""
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar

    bar: Any = None

    def tell(done: int, total: int) -> None:
        nonlocal bar
        throw_exception_if_processing_interrupted()
        bar = bar or ProgressBar(total)
        bar.update_absolute(done, total)

    return tell


def new_file(prefix: str, suffix: str, width: int = 0, height: int = 0) -> tuple[Path, dict[str, str]]:
    """A new file in ComfyUI's output folder, and its reference for the page.

    Args:
        prefix: of its name, as in the nodes of ComfyUI: with folders, %date% and so on.
        suffix: such as `.mp4`.
        width: of its pictures.
        height: likewise.
    """
    import folder_paths

    folder, name, number, below, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    while (path := Path(folder) / f"{name}_{number:05}_{suffix}").exists():
        number += 1
    return path, {"filename": path.name, "subfolder": below, "type": "output"}


def input_files(suffix: str) -> list[str]:
    """Names of the files in ComfyUI's input folder."""
    import folder_paths

    return sorted(name for name in os.listdir(folder_paths.get_input_directory()) if name.lower().endswith(suffix))


def input_path(name: str) -> Path:
    """Path of an input file; names such as `motion.npz [output]` lie in other folders."""
    import folder_paths

    return Path(folder_paths.get_annotated_filepath(name))


@contextmanager
def noted() -> Iterator[None]:
    """Log warnings of this project in one line each, instead of with a line of code."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **more: Any) -> None:
        if category is UserWarning and _is_ours(filename):
            _log.warning("fd2talk: note: %s", " ".join(str(message).split()))
        else:
            before(message, category, filename, *rest, **more)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning, module=r"(fd2talk|shared|stage1_motion|stage2_render)")
        warnings.showwarning = show
        yield


def _is_ours(filename: str) -> bool:
    import fd2talk

    return Path(filename).is_relative_to(Path(fd2talk.__file__).parents[1])
