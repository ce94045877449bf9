"""Geometric losses of motion in the motion space, and of the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.processes import mean_count
from stage1_motion.motion_space import MotionSpace

POSE_VELOCITY_WEIGHT = 10.0
"""Weight of the head's velocity beside eq. 9, which has none: a head that shakes by a tenth of a degree is visible."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values [B, F, K] over frames where mask [B, F, 1] holds, those of all processes together."""
    return (values * mask).sum() / (mean_count(mask.sum()) * values.shape[-1])


class ExpressionLoss(nn.Module):
    """Eq. 8, L_exp, in the motion space, and the lips that the coefficients move.

    Each coefficient is weighted by its standard deviation, that is by how far it moves a face. Lips are vertex offsets
    in units of their mean spread.
    """

    lips: Tensor
    scale: Tensor

    def __init__(self, space: MotionSpace) -> None:
        super().__init__()
        std = torch.from_numpy(space.expression_std)  # [D]
        lips = torch.from_numpy(space.model.exp_basis[:, space.model.groups["lips"]]).flatten(1)  # [D, 3 L]
        basis = std[:, None] * lips  # coefficients in the motion space -> lip offsets in mm
        self.register_buffer("lips", basis / (basis.square().sum(0).mean().sqrt()))
        self.register_buffer("scale", std / std.square().mean().sqrt())

    def forward(self, error: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Predicted less true x_0 [B, F, D], where mask [B, F, 1] holds -> exp (eq. 8), lips, velocity (of lips)."""
        lips = error @ self.lips  # [B, F, 3 L]
        return {
            "exp": masked_mean((error * self.scale).square(), mask),
            "lips": masked_mean(lips.square(), mask),
            "velocity": masked_mean(lips.diff(dim=1).square(), mask[:, 1:]),
        }


def pose_loss(
    error: Tensor, mask: Tensor, velocity_weight: float = POSE_VELOCITY_WEIGHT
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 9, L_pose, with velocities.

    Args:
        error: predicted less true x_0 [B, F, 6].
        mask: bool [B, F, 1], the frames that count.
        velocity_weight: of the velocities; 0 is eq. 9 alone.

    Returns:
        The loss and its parts.
    """
    position = masked_mean(error.square(), mask)
    velocity = masked_mean(error.diff(dim=1).square(), mask[:, 1:])
    return position + velocity_weight * velocity, {"pose": position, "velocity": velocity}
