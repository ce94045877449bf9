"""Conversions between ComfyUI's types of data and those of this project.

IMAGE is float [B, H, W, C] in [0, 1]; AUDIO is a dictionary with `waveform`, float [B, C, T], and `sample_rate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.io import wavfile
from scipy.signal import resample_poly

from shared.errors import InputError
from shared.media import SAMPLE_RATE

from .checks import check_audio, check_images

_CHANNELS = 8


def picture(image: torch.Tensor) -> np.ndarray:
    """One picture of ComfyUI -> uint8 [H, W, 3].

    Raises:
        InputError: several pictures, none, or no pictures.
    """
    if len(check_images(image, "image")) != 1:
        raise InputError(f"one photo is needed, not a batch of {len(image)} pictures")
    return _bytes(image[0])


def pictures(images: torch.Tensor) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3]. Raises InputError: no pictures, or one that is not finite."""
    for image in check_images(images):
        yield _bytes(image)


def _bytes(image: torch.Tensor) -> np.ndarray:
    grey = image.shape[-1] == 1
    values = image.detach().to("cpu", torch.float32)[..., :3]
    if not torch.isfinite(values).all():
        raise InputError("a pixel of the pictures is not finite")
    values = values.clamp(0, 1)
    values = values.expand(*values.shape[:-1], 3) if grey else values
    return np.ascontiguousarray((values * 255).round().to(torch.uint8).numpy())


def images(frames: Iterator[np.ndarray], count: int, tell: Callable[[int, int], None]) -> torch.Tensor:
    """Frames uint8 [H, W, 3] -> IMAGE. All of them are in memory: 12 bytes per pixel.

    Args:
        frames: `count` of them.
        count: their number.
        tell: called with (frames done, frames in all).
    """
    result: torch.Tensor | None = None
    for number, frame in enumerate(frames):
        if result is None:
            result = torch.empty((count, *frame.shape), dtype=torch.float32)
        torch.mul(torch.from_numpy(frame), 1 / 255, out=result[number])
        tell(number + 1, count)
    assert result is not None  # a motion has a frame at least
    return result


def speech(audio: dict[str, Any]) -> np.ndarray:
    """AUDIO -> float32 [n], mono, 16 kHz.

    Raises:
        InputError: as `check_audio`.
    """
    samples, rate = check_audio(audio)
    mono = samples.mean(0)
    if rate != SAMPLE_RATE:
        common = gcd(rate, SAMPLE_RATE)
        length = max(1, round(len(mono) * SAMPLE_RATE / rate))
        mono = resample_poly(mono, SAMPLE_RATE // common, rate // common)[:length]
    return np.clip(mono, -1, 1).astype(np.float32)


def sound(samples: np.ndarray | None) -> dict[str, Any]:
    """Mono at 16 kHz, float32 [n], -> AUDIO; None: silence of a tenth of a second, as AUDIO cannot be empty."""
    samples = np.zeros(SAMPLE_RATE // 10, np.float32) if samples is None else samples
    return {"waveform": torch.from_numpy(np.array(samples, np.float32))[None, None], "sample_rate": SAMPLE_RATE}


@contextmanager
def sound_file(audio: dict[str, Any] | None) -> Iterator[Path | None]:
    """Write AUDIO to a temporary file, which keeps its sampling rate and channels; None for None.

    Raises:
        InputError: as `check_audio`, or it has more channels than files of sound have.
    """
    if audio is None:
        yield None
        return
    samples, rate = check_audio(audio)
    if len(samples) > _CHANNELS:
        raise InputError(f"audio: {len(samples)} channels are too many for a video (at most {_CHANNELS})")
    with TemporaryDirectory(prefix="fd2talk-") as folder:
        path = Path(folder) / "sound.wav"
        wavfile.write(path, rate, np.ascontiguousarray(samples.T))
        yield path
