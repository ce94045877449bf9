"""Ramps bend generated frames to given ones, continuous in value and velocity at the border.

The difference between the given values and what a model predicts for them is carried into the adjacent generated
frames, where it fades. If two neighbouring frames are given, the velocity of the difference is known, too:

    x'(a + d) = x(a + d) + o_a w(d / L) + d v_a w(d / M),    w(u) = 1 - 3 u^2 + 2 u^3,    L, M <= frames to the next key

with o_a = given - x at the last given frame a, v_a its change there, and the same from the other side. As w falls from
1 to 0 with slope 0 at both ends, values and velocities of x' agree with the given ones on both sides of the gap.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

# L in frames: the head moves more slowly than the face, gaze and lids faster.
FACE_REACH, HEAD_REACH, EYES_REACH = 8, 25, 5
_SPEED_SHARE = 1 / 3
"""M as a share of L, so that a head that is turning at a border does not go on for another second."""


def ramp_matrix(given: np.ndarray, reach: float) -> csr_matrix:
    """The linear operator that carries offsets of given frames into the frames between them.

    Args:
        given: bool [T].
        reach: L, frames at 25 per second within which an offset fades.

    Returns:
        float32 [T, T]. Its product with offsets [T, K], of which only given frames are used, is the ramp; at given
        frames it equals the offsets.
    """
    frames, at = len(given), np.flatnonzero(given)
    rows: list[np.ndarray] = [at]
    columns: list[np.ndarray] = [at]
    shares: list[np.ndarray] = [np.ones(len(at))]
    following = {border: (after - border) for border, after in zip(at, [*at[1:], None]) if after is not None}
    before = {border: (border - last) for border, last in zip(at, [None, *at[:-1]]) if last is not None}
    for side, gaps in ((1, following), (-1, before)):
        for border in at:
            gap = gaps.get(border, np.inf)
            room = frames - 1 - border if side > 0 else border
            if gap == 1 or not room:
                continue
            length, slow = min(reach, gap), min(_SPEED_SHARE * reach, gap)
            distance = np.arange(1, min(room, int(np.ceil(length)) - 1) + 1)
            rows.append(border + side * distance)
            columns.append(np.full(len(distance), border))
            shares.append(1 - _smoothstep(distance / length))
            inner = border - side  # the given frame beyond the border, if there is one
            if 0 <= inner < frames and given[inner]:
                speed = distance * (1 - _smoothstep(distance / slow))
                rows += [rows[-1]] * 2
                columns += [columns[-1], np.full(len(distance), inner)]
                shares += [speed, -speed]
    entries = np.concatenate(shares).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))
    return coo_matrix(entries, shape=(frames, frames)).tocsr()


def ramp_to_known(
    generated: np.ndarray,
    known: np.ndarray,
    given: np.ndarray,
    reach: float,
    projectors: np.ndarray | None = None,
) -> np.ndarray:
    """Bend generated values so that they pass through the given ones.

    Args:
        generated: float32 [T, K].
        known: float32 [T, K], used in given frames.
        given: bool [T], or [T, P] for each part.
        reach: frames within which the difference fades.
        projectors: [P, K, K], onto the coefficients of each part; needed if a frame has some parts given.

    Returns:
        float32 [T, K], equal to `known` where all parts are given.
    """
    given = given[:, None] if given.ndim == 1 else given
    offset, bent, whole = known - generated, generated.astype(np.float32), given.all(1)
    for pattern in np.unique(given, axis=1).T:
        parts = (given == pattern[:, None]).all(0)
        ramp = ramp_matrix(pattern, reach) @ offset
        if not parts.all():
            assert projectors is not None
            ramp = ramp @ projectors[parts].sum(0)
        bent = bent + ramp
    return np.where(whole[:, None], known, bent).astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
