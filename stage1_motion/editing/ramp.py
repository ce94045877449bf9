"""Ramps: what is generated is bent to what is given, with neither a jump nor a corner at the border.

The difference between what a model makes of given frames and their values is carried into the generated frames beside
them, where it fades. Where frames on both sides of a border are known, so is the speed of the difference:

    x'(a + d) = x(a + d) + o_a w(d / L) + d v_a w(d / M),    w(u) = 1 - 3 u^2 + 2 u^3,    L, M <= frames to the next key

with o_a = given - x at the last given frame a, v_a its change there, and the same from the other side. As w falls from
1 to 0 and is flat at both ends, values and speeds of x' agree with the given ones on either side of the gap.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

# L where movement differs at a border: the head is slower than the face, a gaze or a lid faster.
FACE_REACH, HEAD_REACH, EYES_REACH = 8, 25, 5
_SPEED_SHARE = 1 / 3
"""M as a share of L: a head that is turning at a border shall not turn for another second."""


def ramp_matrix(given: np.ndarray, reach: float) -> csr_matrix:
    """The operator that carries offsets of the given frames into the frames between them.

    Args:
        given: bool [T].
        reach: L, frames at 25 per second in which an offset fades.

    Returns:
        float32 [T, T]; times offsets [T, K], which are read at given frames only, it is the ramp: the offsets
        themselves at given frames.
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
        ramp = ramp_matrix(pattern, reach) @ offset
        if not parts.all():
            assert projectors is not None
            ramp = ramp @ projectors[parts].sum(0)
        bent = bent + ramp
    return np.where(whole[:, None], known, bent).astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
