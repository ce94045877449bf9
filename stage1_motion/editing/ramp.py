"""Ramps: what is generated is bent to what is given, with neither a jump nor a corner at the border.

The difference between what a model makes of given frames and their values is carried into the generated frames beside
them, where it fades. Where frames on both sides of a border are known, so is the speed of the difference:

    x'(a + d) = x(a + d) + (o_a + d v_a) w(d / L),    w(u) = 1 - 3 u^2 + 2 u^3,    L <= frames to the next given one

with o_a = given - x at the last given frame a, v_a its change there, and the same from the other side. As w falls from
1 to 0 and is flat at both ends, values and speeds of x' agree with the given ones on either side of the gap.
"""

from __future__ import annotations

import numpy as np


def offset_ramp(offset: np.ndarray, given: np.ndarray, reach: float) -> np.ndarray:
    """Carry offsets of the given frames into the frames between them.

    Args:
        offset: [T, K]; read at given frames only.
        given: bool [T].
        reach: frames at 25 per second in which an offset fades.

    Returns:
        [T, K]: the offsets themselves at given frames.
    """
    ramp = np.where(given[:, None], offset, 0)
    at = np.flatnonzero(given)
    if not len(at):
        return ramp
    frames = len(given)
    for last, following in zip([None, *at], [*at, None]):
        start, stop = (-1 if last is None else last), (frames if following is None else following)
        gap = stop - start
        if gap <= 1:
            continue
        both = last is not None and following is not None
        length = min(reach, gap) if both else reach
        for border, side in ((last, 1), (following, -1)):
            if border is None:
                continue
            distance = np.arange(1, min(gap, int(np.ceil(length))))
            inner = border - side  # the given frame beyond the border, if there is one
            known_speed = 0 <= inner < frames and given[inner]
            speed = offset[border] - offset[inner] if known_speed else np.zeros_like(offset[border])
            share = 1 - _smoothstep(distance / length)
            ramp[border + side * distance] += (offset[border] + distance[:, None] * speed) * share[:, None]
    return ramp


def ramp_to_known(
    generated: np.ndarray,
    known: np.ndarray,
    given: np.ndarray,
    reach: float,
    projectors: np.ndarray | None = None,
) -> np.ndarray:
    """Bend what was generated so that it passes through what is given.

    Args:
        generated: float32 [T, K].
        known: float32 [T, K], read where it is given.
        given: bool [T]; or [T, P], apart for each part.
        reach: frames in which the difference fades.
        projectors: [P, K, K], coefficients of a part alone; needed where the parts of a frame differ.

    Returns:
        float32 [T, K], equal to `known` where all parts are given.
    """
    given = given[:, None] if given.ndim == 1 else given
    offset, bent, whole = known - generated, generated.astype(np.float32), given.all(1)
    for pattern in np.unique(given, axis=1).T:
        parts = (given == pattern[:, None]).all(0)
        ramp = offset_ramp(offset, pattern, reach)
        if not parts.all():
            assert projectors is not None
            ramp = ramp @ projectors[parts].sum(0)
        bent = bent + ramp
    return np.where(whole[:, None], known, bent).astype(np.float32)


def distance_to(given: np.ndarray) -> np.ndarray:
    """[T]: frames to the nearest given one; infinite where there is none."""
    at, frames = np.flatnonzero(given), np.arange(len(given))
    if not len(at):
        return np.full(len(given), np.inf)
    after = np.searchsorted(at, frames).clip(0, len(at) - 1)
    return np.minimum(np.abs(at[after] - frames), np.abs(at[np.maximum(after - 1, 0)] - frames))


def fade(given: np.ndarray, reach: float) -> np.ndarray:
    """[T]: 0 at given frames, 1 from `reach` frames away, smooth between."""
    return _smoothstep(distance_to(given) / reach)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
