"""Videos of folders of pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fd2talk.datasets.found import is_hidden
from shared.errors import Fd2TalkError, InputError
from shared.files import atomic_output
from shared.images import read_image

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

# Hardly to be told from the pictures (44 dB), in a tenth of their size and less.
_CRF, _PRESET = "10", "fast"


def join_frames(folder: Path, rate: float, path: Path) -> None:
    """Write a video of the pictures of a folder, in the order of their names.

    Unlike the videos that this project generates it carries no tag of synthetic media: the pictures are filmed. A row
    or column of pixels is dropped where height or width is odd.

    Args:
        folder: with the pictures, all of one size.
        rate: frames per second.
        path: the video to write (H.264 in MP4, BT.709); replaced if it is there.

    Raises:
        InputError: there are no pictures, one cannot be read or is a single row or column, or two differ in size.
        Fd2TalkError: the video cannot be written.
    """
    found = (file for file in folder.iterdir() if not is_hidden(file.name))
    files = sorted(file for file in found if file.suffix.lower() in PICTURE_SUFFIXES)
    if not files:
        raise InputError(f"{folder}: contains no pictures")
    fps = Fraction(rate).limit_denominator(1001)
    with atomic_output(path, overwrite=True) as temporary:
        try:
            with av.open(f"file:{temporary}", "w", format="mp4") as container:
                size: tuple[int, ...] = ()
                for file in files:
                    picture = read_image(file)
                    if not size:
                        size = picture.shape
                        if min(size[:2]) < 2:
                            raise InputError(f"{file}: {size[1]} x {size[0]} pixels are too few for a video")
                        stream = _stream(container, fps, size[1] // 2 * 2, size[0] // 2 * 2)
                    if picture.shape != size:
                        raise InputError(f"{file}: its size is not that of {files[0].name}")
                    container.mux(stream.encode(_frame(picture)))
                container.mux(stream.encode(None))
        except av.FFmpegError as error:
            raise Fd2TalkError(f"cannot write {path}: {error.strerror}") from error


def _stream(container: av.container.OutputContainer, fps: Fraction, width: int, height: int) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.options = {"preset": _PRESET, "crf": _CRF}
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
    context.color_range = 1  # limited
    return stream


def _frame(picture: np.ndarray) -> av.VideoFrame:
    even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="itu709")
