"""What is asked of a motion model, checked before anything is computed."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from shared.errors import InputError, UsageError
from shared.media import FPS, SAMPLE_RATE, frame_count
from stage1_motion.interface import Constraint, MotionModel, SamplingOptions, Tail
from stage1_motion.style import Style

_CONDITIONING = {"style": Style, "constraint": Constraint, "tail": Tail}


def is_real(value: object) -> bool:
    """Whether a value is a real number, of Python or of numpy, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """The same for whole numbers."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_audio(audio: np.ndarray) -> None:
    """Raise InputError when this is no sound as stage one takes it."""
    if audio.ndim != 1 or not len(audio) or audio.dtype.kind != "f" or not np.isfinite(audio).all():
        raise InputError("the audio must be float32 [n], mono, with at least one sample and finite numbers")


def check_covers(audio: np.ndarray, frames: int) -> None:
    """Raise InputError when speech is shorter than the motion of so many frames that is edited to it."""
    if frame_count(len(audio)) < frames:
        lengths = f"the speech lasts {len(audio) / SAMPLE_RATE:.2f} s, the motion {frames / FPS:.2f} s"
        raise InputError(f"{lengths}: it must not be shorter; add silence at its end")


def check_kind(name: str, value: object, kind: type, hint: str = "") -> None:
    """Raise UsageError when an argument is of another class."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} takes a {kind.__name__}, not {' '.join(repr(value).split())[:80]}{hint}")


def check_request(
    model: MotionModel, name_of_model: str, seed: int, options: SamplingOptions, conditioning: dict[str, Any]
) -> None:
    """Check what `MotionPipeline` was given.

    Args:
        model: which generates.
        name_of_model: for messages.
        seed: a whole number.
        options: of the sampler.
        conditioning: "style", "constraint" and "tail", as far as there are such, or None.

    Raises:
        UsageError: numbers out of range, and what the model does not take, needs, or would ignore.
    """
    if not (is_whole(seed) and 0 <= seed < 2**63):
        raise UsageError(f"a seed is a number from 0 to 2^63 - 1, not {seed}")
    for name, value in conditioning.items():
        if value is not None and name not in model.accepts:
            raise UsageError(f"the motion model {name_of_model} takes no {name}")
        if value is None and name in model.needs:
            raise UsageError(f"the motion model {name_of_model} needs a {name}")
        if value is not None:
            hint = "; named_style and Style.load return one" if name == "style" else ""
            check_kind(name, value, _CONDITIONING[name], hint)
    for name in sorted(model.ignores):
        if getattr(options, name) is not None:
            raise UsageError(f"{name} has no effect on the motion model {name_of_model}")
    for name in ("steps", "pose_steps"):
        value = getattr(options, name)
        if value is not None and not (is_whole(value) and 1 <= value <= 1000):
            raise UsageError(f"{name} is a number from 1 to 1000, not {value}")
    if options.solver not in (None, "ddim") and options.eta is not None:
        raise UsageError("eta and solver exclude each other: eta is that of DDIM")
    if options.style_guidance is not None and "style" not in model.accepts:
        raise UsageError(f"the motion model {name_of_model} takes no style")
    most = {"guidance": 100, "style_guidance": 100, "eta": 1, "blink_rate": 60}
    scales = {"expression_scale": 10, "articulation": 3, "pose_scale": 10}
    for name, limit in {**most, **scales}.items():
        value = getattr(options, name)
        given = value is not None or name in scales
        if given and not (is_real(value) and 0 <= value <= limit):
            raise UsageError(f"{name} is a number from 0 to {limit}, not {value}")
    if options.style_guidance is not None and conditioning.get("style") is None:
        raise UsageError("style_guidance (--style-scale) needs a style (--style)")
