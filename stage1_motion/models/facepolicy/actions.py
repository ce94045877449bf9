"""Actions of 3DFacePolicy: frame-to-frame differences of positions (eq. 2), and the receding horizon (§3.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from shared.diffusion.sampling import make_schedule, sample
from stage1_motion.models.facepolicy.network import Policy
from stage1_motion.motion_space import MotionSpace


@dataclass(frozen=True)
class Units:
    """Units of positions and actions, by which they are divided.

    The noise is independent in all coordinates, while a face moves in a few directions of this space. With small units
    the sum over the vertices averages the noise away, so that the first denoising step decides everything. With these
    units the leading directions are about as large as the noise.

    Args:
        millimetres: of a vertex.
        head: of a coefficient of the head's pose; 0: the head does not move.
    """

    millimetres: float = 5.0
    head: float = 0.25

    def to_dict(self) -> dict:
        """For the header of the weights file."""
        return asdict(self)


class ActionSpace:
    """Converts between the motion space and positions: all vertices in `Units` and, if it moves, the head's pose.

    Args:
        space: the motion space.
        units: see `Units`.
        device: of the matrices.
    """

    def __init__(self, space: MotionSpace, units: Units, device: torch.device | str = "cpu"):
        count = space.model.num_expression
        unit = space.displacements(np.eye(count, dtype=np.float32)).reshape(count, -1)  # [D, 3 N]
        self.units, self.count, self.head = units, count, 6 if units.head else 0
        self.to_vertices = torch.from_numpy(unit / np.float32(units.millimetres)).to(device)

    @property
    def channels(self) -> int:
        """A, the number of coordinates of a position."""
        return self.to_vertices.shape[1] + self.head

    def positions(self, motion: Tensor) -> Tensor:
        """Expression and pose in the motion space [..., D + 6] -> positions [..., A]."""
        vertices = motion[..., : self.count] @ self.to_vertices  # [..., D] -> [..., 3 N]
        if not self.head:
            return vertices
        return torch.cat([vertices, motion[..., self.count :] / self.units.head], dim=-1)

    def likely(self, blur: float = 0.0) -> Tensor:
        """Linear estimator [3 N, D] of the expression from positions of vertices.

        Some expressions move no vertex by more than a hundredth of a millimetre. The network cannot observe them, so
        its errors along them add up without limit. With blur > 0 this is the maximum a posteriori estimate under noise
        of so many millimetres and the unit variance of the motion space, which suppresses such expressions without
        visible change: our correction of drift.

        Args:
            blur: standard deviation of the noise over all coordinates, mm; 0: least squares.
        """
        unit = self.to_vertices.double()  # [D, 3 N]
        if not blur:
            return torch.linalg.pinv(unit).float()
        noise = (blur / self.units.millimetres) ** 2 * torch.eye(len(unit), dtype=unit.dtype, device=unit.device)
        return torch.linalg.solve(unit @ unit.T + noise, unit).T.float()

    def motion(self, positions: Tensor, fit: Tensor) -> Tensor:
        """Inverse of `positions`, with `fit` of `likely`: [..., A] -> [..., D + 6]; without a head its pose is 0."""
        size = len(fit)
        expression = positions[..., :size] @ fit  # [..., 3 N] -> [..., D]
        pose = positions[..., size:] * self.units.head
        return torch.cat([expression, pose if self.head else expression[..., :6] * 0], dim=-1)


def differences(positions: Tensor) -> Tensor:
    """Positions [..., F + 1, A] -> the actions between them [..., F, A]."""
    return positions[..., 1:, :] - positions[..., :-1, :]


def integrated(last: Tensor, actions: Tensor) -> Tensor:
    """Eq. 2: the last position [..., A] and actions [..., F, A] -> positions [..., F, A]."""
    return last[..., None, :] + actions.cumsum(-2)


def speech_frames(now: int, past: int, future: int, frames: int) -> list[int]:
    """Indices of the speech observed at frame `now`, clamped to the first and last of `frames`."""
    return [min(max(now + offset, 0), frames - 1) for offset in range(1 - past, future + 1)]


@torch.no_grad()
def roll_out(
    network: Policy,
    space: ActionSpace,
    speech: Tensor,
    before: Tensor,
    *,
    heard: int = 0,
    steps: int,
    eta: float = 0.0,
    guidance: float = 1.0,
    blur: float = 0.0,
    leak: float = 0.0,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Roll out a policy with a receding horizon: observe, predict H actions, execute N_act of them (§3.2.1).

    Args:
        network: the policy.
        space: of its actions.
        speech: features [B, C + T, S].
        before: motion [B, N_obs, D + 6] of the frames before the first generated one.
        heard: C, frames of speech before that frame.
        steps: of DDIM.
        eta: of DDIM.
        guidance: see `Policy.guided`.
        blur: correction of drift, see `ActionSpace.likely`; 0: eq. 2 as printed.
        leak: share by which the head's pose returns to its mean each frame, against its drift.
        generator: of the noise, on the CPU.
        progress: called with the number of frames done.

    Returns:
        Motion [B, T, D + 6].
    """
    config, schedule = network.config, make_schedule(network.config.train_timesteps)
    batch, total = speech.shape[:2]
    positions, fit = space.positions(before), space.likely(blur)  # [B, N_obs, A], [3 N, D]
    kept = torch.ones(config.acted, before.shape[2], device=speech.device)
    kept[:, space.count :] = ((1 - leak) ** torch.arange(1.0, config.acted + 1))[:, None]
    double = guidance != 1
    unheard = torch.arange(2 * batch, device=speech.device) >= batch if double else None
    done: list[Tensor] = []
    for now in range(heard - 1, total - 1, config.acted):
        window = speech[:, speech_frames(now, config.past, config.future, total)]  # [B, F, S]
        seen = positions
        if double:
            seen, window = seen.repeat(2, 1, 1), window.repeat(2, 1, 1)
        condition = network.observe(seen, window, unheard)  # [B or 2 B, 2 size]
        noise = torch.randn(batch, config.horizon, config.channels, generator=generator).to(speech.device)
        predict = partial(_predict, network, condition, guidance)
        actions = sample(predict, noise, schedule, steps, eta=eta, generator=generator)[:, : config.acted]
        fresh = integrated(positions[:, -1], actions)  # [B, N_act, A]
        motion = space.motion(fresh, fit) * kept  # [B, N_act, D + 6]
        if blur or leak:
            fresh = space.positions(motion)
        positions = torch.cat([positions, fresh], dim=1)[:, -config.observed :]
        done.append(motion)
        if progress:
            progress(min(now + 1 - heard + config.acted, total - heard))
    return torch.cat(done, dim=1)[:, : total - heard]  # [B, T, D + 6]


def _predict(network: Policy, conditions: Tensor, guidance: float, noisy: Tensor, timestep: Tensor) -> Tensor:
    return network.guided(noisy, conditions, timestep, guidance)
