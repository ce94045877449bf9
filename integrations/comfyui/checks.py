"""Checks of inputs at run time: ComfyUI checks the types of connections, not the values that other nodes pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from shared.errors import Fd2TalkError, InputError

# Sampling rates in Hz. A lower rate would turn a short recording into hours of sound.
_RATES = (1000, 384_000)
_CHANNELS = (1, 3, 4)
_FLAG = re.compile(r"--(?!c2pa)([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


@contextmanager
def in_terms_of_widgets() -> Iterator[None]:
    """Replace options of the command line by widgets in error messages: `face_box` for `--face-box`."""
    try:
        yield
    except Fd2TalkError as error:
        message = _FLAG.sub(lambda match: match[1].replace("-", "_"), str(error))
        if message == str(error):
            raise
        raise type(error)(message) from error


def check_connected(value: Any, kind: type, name: str) -> None:
    """Check the type of an input.

    Raises:
        InputError: it is None or of another type.
    """
    if not isinstance(value, kind):
        came = "nothing" if value is None else f"a {type(value).__name__}"
        raise InputError(f"{name}: {came} came from the node that is connected, a {kind.__name__} is needed")


def check_images(images: Any, name: str = "images") -> torch.Tensor:
    """Return IMAGE.

    Raises:
        InputError: it is not float [B, H, W, C] with pictures of some size; values are checked as they are used.
    """
    check_connected(images, torch.Tensor, name)
    shape = " x ".join(map(str, images.shape))
    if images.ndim != 4 or images.shape[-1] not in _CHANNELS or not images.is_floating_point():
        raise InputError(
            f"{name}: pictures of ComfyUI are [number, height, width, 1, 3 or 4] of floats, not [{shape}] of "
            f"{str(images.dtype).removeprefix('torch.')}"
        )
    if not images.numel():
        raise InputError(f"{name}: there is no picture, or one without pixels ([{shape}])")
    return images


def check_audio(audio: Any, name: str = "audio") -> tuple[np.ndarray, int]:
    """Return samples float32 [C, T] of the only recording of AUDIO, and their rate in Hz.

    Raises:
        InputError: it is no AUDIO, several recordings, an empty one, not finite, or at no rate of sound.
    """
    check_connected(audio, Mapping, name)
    waveform, rate = audio.get("waveform"), audio.get("sample_rate")
    if not isinstance(waveform, torch.Tensor) or waveform.ndim != 3 or not waveform.is_floating_point():
        has = f"[{' x '.join(map(str, waveform.shape))}]" if isinstance(waveform, torch.Tensor) else "none"
        raise InputError(f"{name}: sound of ComfyUI has a waveform [1, channels, samples] of floats, this has {has}")
    if len(waveform) != 1:
        raise InputError(f"{name}: one recording is needed, not a batch of {len(waveform)}")
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not _RATES[0] <= rate <= _RATES[1]:
        raise InputError(
            f"{name}: sample_rate is {str(rate)[:40]}, which is no rate of sound ({_RATES[0]} to {_RATES[1]} Hz)"
        )
    samples = waveform[0].detach().to("cpu", torch.float32).numpy()
    if not samples.size:
        raise InputError(f"{name}: the recording has no samples")
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: a sample of the recording is not finite")
    return samples, int(rate)
