"""Ease: motion begins where the photo is, and returns there in the silence at the end of a recording.

A generated clip can then follow a still, or another clip of the same photo, without a jump.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

_BEGIN = 8
"""Frames at 25 per second (0.3 s) from the photo to the generated motion."""

_END = 25
"""The most frames that the way back takes. In less than `_BEGIN` frames of silence it is left unfinished: a head that
snapped back would be worse than a jump between two clips."""


def ease_weights(speaks: np.ndarray) -> np.ndarray:
    """How far each frame is away from the photo.

    Args:
        speaks: [T] in [0, 1] at 25 frames per second (`SpeechEvents`).

    Returns:
        float32 [T]: 0 is the photo, 1 the generated motion; 0 at the first frame.
    """
    return beginning(np.arange(len(speaks))) * ending(speaks)


def ending(speaks: np.ndarray) -> np.ndarray:
    """float32 [T]: the weights of the way back to the photo alone; `speaks` as of `ease_weights`."""
    spoken = np.flatnonzero(speaks > 0.5)
    silence = len(speaks) - 1 - (spoken[-1] if len(spoken) else -1)
    duration = np.clip(silence, _BEGIN, _END)
    since_the_last_word = np.arange(len(speaks)) - (len(speaks) - 1 - min(silence, _END))
    return _smoothstep(1 - since_the_last_word / duration).astype(np.float32)


def beginning(frames: np.ndarray) -> np.ndarray:
    """float32 [n]: the weights of the way from the photo alone, at these frames of a motion."""
    return _smoothstep(frames / _BEGIN).astype(np.float32)


def eased(values: np.ndarray, start: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blend values [T, K] with the photo's [K] by `ease_weights` [T]: float32 [T, K]."""
    return (start + weights[:, None] * (values - start)).astype(np.float32)


def eased_rotation(rotation: np.ndarray, start: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same for axis-angle rotations [T, 3], along the shortest way."""
    first = Rotation.from_rotvec(start)
    turn = (Rotation.from_rotvec(rotation) * first.inv()).as_rotvec()
    return (Rotation.from_rotvec(weights[:, None] * turn) * first).as_rotvec().astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
