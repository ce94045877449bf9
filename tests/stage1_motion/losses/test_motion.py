"""Eq. 8 and 9 and the terms beside them, against loops written from the paper."""

import math

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from stage1_motion.losses.motion import POSE_VELOCITY_WEIGHT, ExpressionLoss, masked_mean, pose_loss
from stage1_motion.motion_space import MotionSpace

BATCH, FRAMES = 2, 5


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    std = np.random.default_rng(1).uniform(0.5, 2, model.num_expression).astype(np.float32)
    return MotionSpace(model, std, np.ones(6, np.float32))


@pytest.fixture
def mask():
    """Frame 2 of the first sequence and the last frame of the second do not count."""
    mask = torch.ones(BATCH, FRAMES, 1, dtype=torch.bool)
    mask[0, 2] = mask[1, -1] = False
    return mask


def error_of(size):
    return torch.from_numpy(np.random.default_rng(2).normal(size=(BATCH, FRAMES, size)).astype(np.float32))


def mean_square(values, mask):
    """Mean of the squares of all numbers in the frames that count."""
    squares = [
        float(value) ** 2
        for b in range(values.shape[0])
        for f in range(values.shape[1])
        if mask[b, f, 0]
        for value in values[b, f].reshape(-1)
    ]
    return sum(squares) / len(squares)


def velocities(values, mask):
    """Frame f + 1 minus frame f; a velocity counts where its later frame does."""
    steps = np.stack([values[:, f + 1] - values[:, f] for f in range(values.shape[1] - 1)], axis=1)
    return steps, mask[:, 1:]


def test_expression_loss_is_equation_8_with_coefficients_in_the_face_models_units(space, mask):
    """Squared distance of the coefficients themselves, that is of what was divided by their standard deviations."""
    error = error_of(space.model.num_expression)
    std = space.expression_std.astype(float)
    unit = math.sqrt(np.mean(std**2))
    found = ExpressionLoss(space)(error, mask)
    assert float(found["exp"]) == pytest.approx(mean_square(error.numpy() * std / unit, mask), rel=1e-5)


def test_lip_terms_are_squared_distances_of_the_lips_and_of_their_velocities(space, mask):
    error = error_of(space.model.num_expression)
    lips = space.model.groups["lips"]
    neutral = np.zeros(space.model.num_identity)
    moved = np.stack(
        [
            space.model.vertices(neutral, of_clip * space.expression_std)[:, lips].astype(float)
            - space.model.vertices(neutral, 0 * of_clip)[:, lips]
            for of_clip in error.numpy()
        ]
    )  # [B, F, L, 3] mm
    # In units of the mean spread that the coefficients, each of variance 1, give the lips' coordinates.
    units = np.eye(space.model.num_expression) * space.expression_std
    single = space.model.vertices(neutral, units)[:, lips] - space.model.vertices(neutral, 0 * units)[:, lips]
    moved /= math.sqrt((single.astype(float) ** 2).sum(0).mean())
    found = ExpressionLoss(space)(error, mask)
    assert float(found["lips"]) == pytest.approx(mean_square(moved, mask), rel=1e-3)
    assert float(found["velocity"]) == pytest.approx(mean_square(*velocities(moved, mask)), rel=1e-3)


def test_pose_loss_is_equation_9_and_ten_times_the_velocity(mask):
    error = error_of(6)
    loss, parts = pose_loss(error, mask)
    position, velocity = mean_square(error.numpy(), mask), mean_square(*velocities(error.numpy(), mask))
    assert float(parts["pose"]) == pytest.approx(position, rel=1e-5)
    assert float(parts["velocity"]) == pytest.approx(velocity, rel=1e-5)
    assert POSE_VELOCITY_WEIGHT == 10
    assert float(loss) == pytest.approx(position + 10 * velocity, rel=1e-5)
    assert float(pose_loss(error, mask, 0)[0]) == pytest.approx(position, rel=1e-5)  # eq. 9 alone


def test_nothing_counts_where_no_frame_does():
    assert float(masked_mean(torch.ones(1, 3, 2), torch.zeros(1, 3, 1, dtype=torch.bool))) == 0
