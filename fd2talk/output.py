"""Output files: checked before any work is done, and written atomically."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fd2talk.provenance.tags import tags
from shared.errors import UsageError
from shared.files import check_output, new_folders
from shared.media import FPS
from shared.motion import Motion
from shared.spliced_sound import SplicedSound
from shared.video_writer import CRF, VideoWriter

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def require_output(
    path: str | os.PathLike, *, suffixes: tuple[str, ...], overwrite: bool, inputs: tuple[str | None, ...] = ()
) -> Path:
    """Check that an output can be written. Its folder may be missing if it can be created.

    Args:
        path: of the output.
        suffixes: one of which its name must have.
        overwrite: whether it may exist.
        inputs: files that it must not replace; None, and what is no file, is passed over.

    Raises:
        UsageError: another suffix, one of the inputs, an existing file without `overwrite`, or a place that cannot be
            written to.
    """
    file = Path(path)
    if file.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
    try:
        given = [other for other in inputs if other is not None]
        if any(os.path.exists(file) and os.path.exists(other) and os.path.samefile(file, other) for other in given):
            raise UsageError(f"cannot write {path}: it is one of the inputs")
        if not overwrite and file.is_file():
            raise UsageError(f"cannot write {path}: it already exists (use --overwrite, or overwrite=True)")
        folder = file.parent
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
    except (OSError, ValueError) as error:  # the name is too long, or has a null byte
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    if folder == file.parent:
        return check_output(file, overwrite)
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: the folder {folder} is not writable")
    return file


def save_motion(path: Path, motion: Motion, *, overwrite: bool) -> None:
    """Write a motion file, with its folder. Raises as `Motion.save`."""
    with new_folders(path.parent):
        motion.save(path, overwrite=overwrite)


def write_video(
    path: str | os.PathLike,
    frames: Iterable[np.ndarray],
    *,
    audio: str | os.PathLike | np.ndarray | SplicedSound | None = None,
    fps: float = FPS,
    overwrite: bool = False,
    crf: int = CRF,
    threads: int | None = None,
    source: str = "",
    signer: Signer | None = None,
) -> None:
    """Write an MP4 video that is tagged as synthetic. Its folder is created with the first frame.

    Args:
        path: of the video, ending in .mp4. It appears only when the video is complete.
        frames: uint8 [H, W, 3] RGB, with even H and W.
        audio: a file with sound, parts of some, or float32 [n] mono at 16 kHz.
        fps: frames per second.
        overwrite: replace an existing file.
        crf: constant rate factor of the encoder, smaller is better.
        threads: of the encoder; None: as many as it likes.
        source: what the pictures were made from, for a tag: `Motion.source`.
        signer: signs the video with C2PA before it appears.

    Raises:
        UsageError: the output cannot be written to, or exists and `overwrite` is not set.
        ValueError: no frames, or frames that are not as described.
        Fd2TalkError: writing or signing failed, for example because the disk is full.
    """
    path = require_output(path, suffixes=(".mp4",), overwrite=overwrite)
    frames = iter(frames)
    with ExitStack() as stack:
        if hasattr(frames, "close"):  # a generator's own clean-up shall not wait for the garbage collector
            stack.callback(frames.close)
        # Frames are processed in parallel, which uses the cores better than threads within one frame.
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        cv2.setNumThreads(1)
        frame = next(frames, None)
        if frame is None:
            raise ValueError("there are no frames to write")
        stack.enter_context(new_folders(path.parent))
        size = frame.shape[1], frame.shape[0]
        finish = None if signer is None else partial(signer.sign, title=path.name)
        with VideoWriter(
            path,
            size,
            fps=fps,
            audio=audio,
            overwrite=overwrite,
            metadata=tags(source),
            crf=crf,
            threads=threads,
            finish=finish,
        ) as writer:
            while frame is not None:
                writer.write(frame)
                frame = next(frames, None)
