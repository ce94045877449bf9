"""DiffPoseTalk's losses (eq. 2 to 6 and 11 to 15): of coefficients, of the zero-headed mesh, and of the head's angles.

The paper prints neither units nor how the norms are reduced. Here every loss is the mean over all numbers of the frames
that count, vertices are in mm and angles in degrees. Its weights of 2e6, 1e7 and 1e5 for the mesh belong to metres and
are 2, 10 and 0.1 for mm; those of the head (.05, 5, .5, .5) then weigh about as much as the mesh's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stage1_motion.losses.motion import masked_mean


def position_loss(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """Eq. 2, 3 and 11: squared distance.

    Args:
        predicted: [B, F, K]: coefficients, vertices in mm, or angles in degrees.
        true: likewise.
        mask: bool [B, F, 1], the frames that count.

    Returns:
        A scalar.
    """
    return masked_mean((predicted - true).square(), mask)


def velocity_loss(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """Eq. 4 and 12: squared distance of the differences of consecutive frames; arguments of `position_loss`."""
    return masked_mean((predicted.diff(dim=1) - true.diff(dim=1)).square(), mask[:, 1:] & mask[:, :-1])


def smooth_loss(predicted: Tensor, mask: Tensor) -> Tensor:
    """Eq. 5 and 13: squared second differences of the prediction; arguments of `position_loss`."""
    return masked_mean(predicted.diff(n=2, dim=1).square(), mask[:, 2:] & mask[:, 1:-1] & mask[:, :-2])


def transition_loss(before: Tensor, after: Tensor) -> Tensor:
    """Eq. 14: at a seam of two windows the head's velocity and acceleration change little.

    Args:
        before: [B, 3, K], the last frames of the window before.
        after: [B, 3, K], the first predicted ones.

    Returns:
        A scalar, the mean over all numbers of the velocities' changes and of the accelerations'.
    """
    pose = torch.cat([before, after], dim=1)  # P_-3:3, [B, 6, K]
    velocity = pose.diff(dim=1)  # [B, 5, K]; number i leads from frame i - 3 to frame i - 2
    acceleration = velocity.diff(dim=1)  # [B, 4, K]
    of_velocity = velocity[:, 2:4] - velocity[:, 1:3]  # (P_0:2 - P_-1:1) - (P_-1:1 - P_-2:0)
    of_acceleration = acceleration[:, 1:4] - acceleration[:, 0:3]
    return of_velocity.square().mean() + of_acceleration.square().mean()


@dataclass(frozen=True)
class GeometricWeights:
    """The lambdas of eq. 6 and 15, for mm, degrees and means.

    Args:
        vertices, velocity, smooth: of the mesh, eq. 3 to 5.
        head_angle, head_velocity, head_smooth, head_transition: of the head, eq. 11 to 14.
    """

    vertices: float = 2.0
    velocity: float = 10.0
    smooth: float = 0.1
    head_angle: float = 0.05
    head_velocity: float = 5.0
    head_smooth: float = 0.5
    head_transition: float = 0.5


def mesh_losses(predicted: Tensor, true: Tensor, mask: Tensor, weights: GeometricWeights) -> dict[str, Tensor]:
    """The weighted terms of eq. 3 to 5 of zero-headed meshes [B, F, 3 N] in mm."""
    return {
        "vertices": weights.vertices * position_loss(predicted, true, mask),
        "velocity": weights.velocity * velocity_loss(predicted, true, mask),
        "smooth": weights.smooth * smooth_loss(predicted, mask),
    }


def head_losses(predicted: Tensor, true: Tensor, mask: Tensor, weights: GeometricWeights) -> dict[str, Tensor]:
    """The weighted terms of eq. 15 but the transition, of head angles [B, F, 3] in degrees."""
    return {
        "head_angle": weights.head_angle * position_loss(predicted, true, mask),
        "head_velocity": weights.head_velocity * velocity_loss(predicted, true, mask),
        "head_smooth": weights.head_smooth * smooth_loss(predicted, mask),
    }
