"""DiffPoseTalk's losses against loops written from eq. 2 to 5 and 11 to 14."""

import numpy as np
import pytest
import torch

from stage1_motion.losses.geometric import (
    GeometricWeights,
    head_losses,
    mesh_losses,
    position_loss,
    smooth_loss,
    transition_loss,
    velocity_loss,
)

BATCH, FRAMES, SIZE = 2, 7, 4
RNG = np.random.default_rng(5)
PREDICTED, TRUE = (RNG.normal(size=(BATCH, FRAMES, SIZE)).astype(np.float32) for _ in range(2))
MASK = np.ones((BATCH, FRAMES, 1), bool)
MASK[0, 5:] = False


def mean_square(values):
    """Over (sequence, frame): numbers that count."""
    return float(np.mean([float(v) ** 2 for row in values for v in row]))


def counted(reach):
    """(b, f) such that the frames f - reach .. f all count."""
    return [
        (b, f)
        for b in range(BATCH)
        for f in range(reach, FRAMES)
        if all(MASK[b, f - back, 0] for back in range(reach + 1))
    ]


def given(*arrays):
    return [torch.from_numpy(a) for a in arrays]


def test_positions():
    expected = mean_square([PREDICTED[b, f] - TRUE[b, f] for b, f in counted(0)])
    assert float(position_loss(*given(PREDICTED, TRUE, MASK))) == pytest.approx(expected, rel=1e-5)


def test_velocities():
    expected = mean_square(
        [(PREDICTED[b, f] - PREDICTED[b, f - 1]) - (TRUE[b, f] - TRUE[b, f - 1]) for b, f in counted(1)]
    )
    assert float(velocity_loss(*given(PREDICTED, TRUE, MASK))) == pytest.approx(expected, rel=1e-5)


def test_acceleration_of_the_prediction_alone():
    expected = mean_square([PREDICTED[b, f] - 2 * PREDICTED[b, f - 1] + PREDICTED[b, f - 2] for b, f in counted(2)])
    assert float(smooth_loss(*given(PREDICTED, MASK))) == pytest.approx(expected, rel=1e-5)


def test_transition():
    """Eq. 14 with P_-3:0 the last three frames before and P_0:3 the first three after."""
    before, after = PREDICTED[:, :3], TRUE[:, :3]

    def pose(b, index):
        return before[b, index + 3] if index < 0 else after[b, index]

    velocity, acceleration = [], []
    for b in range(BATCH):
        for i in range(2):  # (P_0:2 - P_-1:1) - (P_-1:1 - P_-2:0)
            velocity.append((pose(b, i) - pose(b, i - 1)) - (pose(b, i - 1) - pose(b, i - 2)))
        for i in range(3):  # (P_0:3 - 2 P_-1:2 + P_-2:1) - (P_-1:2 - 2 P_-2:1 + P_-3:0)
            acceleration.append(
                (pose(b, i) - 2 * pose(b, i - 1) + pose(b, i - 2))
                - (pose(b, i - 1) - 2 * pose(b, i - 2) + pose(b, i - 3))
            )
    expected = mean_square(velocity) + mean_square(acceleration)
    assert float(transition_loss(*given(before, after))) == pytest.approx(expected, rel=1e-5)


def test_constant_speed_has_no_acceleration_and_a_smooth_transition():
    line = torch.arange(6.0)[None, :, None].expand(1, 6, 3)
    assert float(smooth_loss(line, torch.ones(1, 6, 1, dtype=torch.bool))) == 0
    assert float(transition_loss(line[:, :3], line[:, 3:])) == 0


def test_weights_of_the_paper_for_millimetres():
    """2e6, 1e7 and 1e5 for metres; each term is weighted by its own."""
    weights = GeometricWeights()
    found = np.array([weights.vertices, weights.velocity, weights.smooth])
    assert found == pytest.approx(1e-6 * np.array([2e6, 1e7, 1e5]))
    predicted, true, mask = given(PREDICTED, TRUE, MASK)
    mesh, head = (losses(predicted, true, mask, weights) for losses in (mesh_losses, head_losses))
    terms = position_loss(predicted, true, mask), velocity_loss(predicted, true, mask), smooth_loss(predicted, mask)
    for value, term, factor in zip(mesh.values(), terms, (2, 10, 0.1)):
        assert float(value) == pytest.approx(factor * float(term), rel=1e-5)
    for value, term, factor in zip(head.values(), terms, (0.05, 5, 0.5)):
        assert float(value) == pytest.approx(factor * float(term), rel=1e-5)
    assert weights.head_transition == 0.5
