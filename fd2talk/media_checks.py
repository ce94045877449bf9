"""Limits of photos, sound and clips that clients of a server send, checked before they fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from fd2talk.commands.inputs import is_motion_file
from shared.audio import AudioTrack, read_audio
from shared.containers import open_media, video_stream
from shared.errors import InputError

T = TypeVar("T")


class MediaLimits(Protocol):
    """The limits of a server that are checked here."""

    @property
    def pixels(self) -> int:
        """Largest photo."""

    @property
    def seconds(self) -> float:
        """Longest recording or clip."""


def check_pixels(path: Path, limits: MediaLimits) -> None:
    """Refuse a photo that would be too large in memory, by its header alone.

    Raises:
        InputError: it has too many pixels. A file that is no photo passes; reading it fails later.
    """
    try:
        with Image.open(path) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = limits.pixels + 1
    except (OSError, ValueError, SyntaxError):
        return
    if pixels > limits.pixels:
        raise InputError(f"the photo has more than {limits.pixels / 1e6:.3g} million pixels: make it smaller first")


def read_speech(path: Path, limits: MediaLimits) -> np.ndarray:
    """Read speech as float32 [n] at 16 kHz, up to a length.

    Raises:
        InputError: no sound, or too long.
    """

    def within(path: Path) -> np.ndarray:
        seconds = 0.0
        with AudioTrack(path) as track:  # the header may be wrong: count before keeping samples in memory
            for frame in track.frames():
                seconds += frame.samples / frame.sample_rate
                if seconds > limits.seconds + 0.001:  # tolerates rounding of the sum
                    raise InputError(f"the sound is longer than {limits.seconds:g} seconds: cut it first")
        return read_audio(path)

    return named(within, path)


def check_clip(path: Path, limits: MediaLimits) -> None:
    """Refuse a clip that would take too long to track, by its packets' time stamps. Motion files pass.

    Raises:
        InputError: it is too long, or no clip.
    """
    if is_motion_file(str(path)):
        return

    def seconds(path: Path) -> float:
        with open_media(path) as container:
            stream = video_stream(container, path)
            base = float(stream.time_base or 0)
            times = [float(packet.pts) * base for packet in container.demux(stream) if packet.pts is not None]
        return max(times, default=0.0) - min(times, default=0.0)

    if named(seconds, path) > limits.seconds:
        raise InputError(f"the clip is longer than {limits.seconds:g} seconds: cut it first")


def named(read: Callable[[Path], T], path: Path) -> T:
    """Read a file; error messages have its name without the server's folder."""
    try:
        return read(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from error
