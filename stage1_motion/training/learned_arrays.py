"""The training targets of motion models in shards: an expensive part that is stored, and a cheap one done on reading.

`MotionSpace` encodes motion in two steps. The first is slow (eyes are taken out of the mesh) and does not depend on the
training people: it is computed once, and stored. The second scales frames by statistics of the training people: it is
done when frames are read, in the same order of operations, so that the results are bit-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.shards.clip_arrays import CLIPS
from shared.shards.format import Part
from shared.shards.rows import row_numbers
from stage1_motion.motion_space import (
    MEAN_GAP,
    TYPICAL_HEAD_STD,
    TYPICAL_LIP_STD,
    MotionSpace,
    relative_pose,
)

LEARNED, GAP = "learned", "gap"
"""Names of the arrays."""


def learned_parts(num_expression: int) -> dict[str, Part]:
    """Arrays of `learned_arrays`."""
    return {LEARNED: Part(CLIPS, "<f4", (num_expression + 6,)), GAP: Part(CLIPS, "<f4")}


def unit_space(model: MorphableModel) -> MotionSpace:
    """A motion space with unit scales, not fitted to people."""
    return MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))


def learned_arrays(space: MotionSpace, motion: Motion) -> Mapping[str, np.ndarray]:
    """Expression and pose less the clip's means [T, D + 6], and the mean lip gap in mm [1]."""
    expression = space.speech_expression(motion)
    gap = space.lip_gap(motion.identity, expression).mean()  # type: ignore[arg-type]  # tracked motions have identities
    relative = np.concatenate([expression - expression.mean(0), relative_pose(motion)], axis=1)
    return {LEARNED: relative, GAP: np.array([gap])}


def expression_of(space: MotionSpace, lip_std: float) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of `LEARNED` -> `MotionSpace.encode_expression`, [n, D]."""
    count, scale = len(space.expression_std), TYPICAL_LIP_STD / lip_std
    return lambda rows: (rows[:, :count] * scale / space.expression_std).astype(np.float32)


def pose_of(space: MotionSpace, head_std: float) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of `LEARNED` -> `MotionSpace.encode_pose`, [n, 6]."""
    count, scale = len(space.expression_std), TYPICAL_HEAD_STD / head_std
    return lambda rows: (rows[:, count:] * scale / space.pose_std).astype(np.float32)


def unscaled_of(space: MotionSpace, gap: np.float32) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of `LEARNED` -> `MotionSpace.encode_unscaled`, [n, D + 6]. gap: the clip's mean, mm."""
    face, head = expression_of(space, TYPICAL_LIP_STD), pose_of(space, TYPICAL_HEAD_STD)
    shift = space.opening() * np.float32(gap - MEAN_GAP * TYPICAL_LIP_STD)
    return lambda rows: np.concatenate([face(rows) + shift, head(rows)], axis=1).astype(np.float32)


class Rows:
    """Frames of a clip in shards, [T, D], which are read and transformed when they are indexed.

    Indexed by frames like an array; `np.asarray` reads all of them.
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        frames: int,
        columns: int,
        edit: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Set how frames are read.

        Args:
            read: (start, stop) -> [stop - start, ...].
            frames: T.
            columns: D, after the transformation.
            edit: transformation of the rows that were read.
        """
        self._read, self.shape, self._edit = read, (frames, columns), edit

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        at = row_numbers(at, len(self))
        if at.ndim != 1:
            return np.asarray(self)[at]
        if not len(at):
            return np.zeros((0, self.shape[1]), np.float32)
        if at.min() < 0 or at.max() >= len(self):
            raise IndexError(f"frames {at.min()} to {at.max()} of {len(self)}")
        start, stop = int(at.min()), int(at.max()) + 1
        rows = self._read(start, stop)
        return (rows if self._edit is None else self._edit(rows))[at - start]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(np.float32 if dtype is None else dtype, copy=False)
