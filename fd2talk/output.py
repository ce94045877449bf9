"""Results go where the person asked, or the reason is said before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from fd2talk.progress import progress
from shared.errors import UsageError
from shared.files import check_output
from shared.video_writer import VideoWriter


def require_output(path: str, *, suffixes: tuple[str, ...], overwrite: bool, inputs: tuple[str, ...] = ()) -> Path:
    """Refuse an output that could not be written at the end; a missing folder will do if it can be made.

    Raises UsageError: another file type, an input, an existing file without `overwrite`, or a place that cannot be
    written to.
    """
    file = Path(path)
    if file.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
    try:
        if any(os.path.exists(file) and os.path.exists(other) and os.path.samefile(file, other) for other in inputs):
            raise UsageError(f"cannot write {path}: it is one of the inputs")
        if not overwrite and file.is_file():
            raise UsageError(f"cannot write {path}: it already exists (--overwrite replaces it)")
        folder = file.parent
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
    except (OSError, ValueError) as error:  # a name too long, a null byte
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    if folder == file.parent:
        return check_output(file, overwrite)
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: the folder {folder} is not writable")
    return file


def make_folder(path: Path) -> None:
    """Make the folder that `path` goes to. Raises UsageError when that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def write_video(
    path: Path, frames: Iterator[np.ndarray], total: int, *, audio: str | np.ndarray | None, overwrite: bool
) -> None:
    """Encode frames with sound, showing progress. Raises as `VideoWriter`."""
    cv2.setNumThreads(1)  # whole frames side by side keep the cores busier than the rows of one frame
    with closing(frames), progress(total, "rendering") as bar:
        first = next(frames)
        make_folder(path)
        with VideoWriter(path, first.shape[1::-1], audio=audio, overwrite=overwrite) as writer:
            for frame in chain([first], frames):
                writer.write(frame)
                bar.update()
