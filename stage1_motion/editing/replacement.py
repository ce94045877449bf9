"""x0 replacement: frames, or parts of frames, that are given take the place of what a model predicts of them.

"We selectively replace the predicted denoised vertex-displacement sequences x_0 with ground truth values during the
denoising process" (3DiFACE, "Motion Editing"). Here single parts of a face can be given, too:

    x_0' = x_0 + sum over the given parts p of (given - x_0) P_p        (P_p: `parts.projectors`)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage1_motion.interface import Known
from stage1_motion.motion_space import MotionSpace
from stage1_motion.parts import projectors


def given_shares(mask: np.ndarray, space: MotionSpace) -> list[tuple[np.ndarray, np.ndarray]]:
    """How much of an expression is given, for frames of which the same parts are.

    Args:
        mask: bool [T, 4], see `Known`.
        space: the motion space.

    Returns:
        Indices of frames, and float32 [D, D]: the sum of the projectors of their parts. Frames of which nothing of the
        face is given are left out.
    """
    parts, shares = projectors(space) if mask[:, :3].any() else np.zeros(0), []
    for pattern in np.unique(mask[:, :3], axis=0):
        if pattern.any():
            share = np.eye(parts.shape[1], dtype=np.float32) if pattern.all() else parts[pattern].sum(0)
            shares.append((np.flatnonzero((mask[:, :3] == pattern).all(1)), share))
    return shares


class Replacement:
    """Puts what is given into predictions x_0.

    Args:
        known: what is given.
        space: the motion space.
        columns: of [expression, pose] that the network predicts; None: all.
        device: of the predictions.
    """

    def __init__(
        self, known: Known, space: MotionSpace, columns: slice | None = None, device: str | torch.device = "cpu"
    ) -> None:
        columns, count = columns or slice(None), known.expression.shape[1]
        values = np.concatenate([known.expression, known.pose], axis=1)[:, columns]
        is_pose = (np.arange(count + 6) >= count)[columns]  # [K]
        self._values = torch.from_numpy(values).to(device)
        head, face = known.mask[:, 3:], known.mask[:, :3].all(1, keepdims=True)
        whole = np.where(is_pose, head, face)  # [T, K]
        self._whole = torch.from_numpy(whole).to(device)
        self._shares = [
            (torch.from_numpy(rows).to(device), torch.from_numpy(share[:, columns]).to(device))
            for rows, share in given_shares(known.mask, space)
            if not (is_pose.all() or known.mask[rows[0], :3].all())
        ]
        self._count = int((~is_pose).sum())
        self.complete = whole.all(1)
        """bool [T]: frames of which nothing is left to be generated."""

    def __call__(self, clean: Tensor) -> Tensor:
        """x_0 [..., F, K] -> x_0; frames beyond those of the constraint stay as predicted."""
        frames, count = len(self._values), self._count
        ours = clean[..., :frames, :]
        replaced = torch.where(self._whole, self._values.to(clean), ours)
        for rows, share in self._shares:
            left = self._values[rows, :count].to(clean) - ours[..., rows, :count]  # [..., R, D]
            replaced[..., rows, :count] = ours[..., rows, :count] + left @ share[:count].to(clean)
        return torch.cat([replaced, clean[..., frames:, :]], dim=-2)
