import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from stage1_motion.editing.ramp import FACE_REACH, HEAD_REACH, ramp_matrix
from stage1_motion.editing.replacement import Replacement
from stage1_motion.interface import Known
from stage1_motion.motion_space import MotionSpace
from stage1_motion.parts import PARTS, projectors


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    std = np.random.default_rng(0).uniform(0.3, 1.0, model.num_expression).astype(np.float32)
    return MotionSpace(model, std, np.full(6, 0.03, np.float32))


def known(space, frames, **given):
    """Random values, of which frames of a part are given: part=slice."""
    rng, mask = np.random.default_rng(1), np.zeros((frames, 4), bool)
    for part, where in given.items():
        mask[where, PARTS.index(part)] = True
    sizes = (len(space.expression_std), 6)
    return Known(*(rng.normal(size=(frames, size)).astype(np.float32) for size in sizes), mask)


def test_whole_frames_are_exact_and_others_far_away_untouched(space):
    whole = slice(40, 45)
    given = known(space, 100, lips=whole, upper=whole, eyes=whole, head=whole)
    replace = Replacement.of(given, space)
    assert np.array_equal(np.flatnonzero(replace.complete), range(40, 45))
    clean = torch.randn(2, 110, 70, generator=torch.Generator().manual_seed(0))
    result = replace(clean)
    values = torch.from_numpy(np.concatenate([given.expression, given.pose], axis=1))
    assert torch.equal(result[:, whole], values[whole].expand(2, -1, -1))
    assert torch.equal(result[:, 100:], clean[:, 100:])
    assert torch.equal(result[:, 55:, :64], clean[:, 55:, :64]) and torch.equal(result[:, :14, 64:], clean[:, :14, 64:])
    assert not torch.allclose(result[:, 46, :64], clean[:, 46, :64])


def test_parts_are_replaced_by_their_projection(space):
    """x_0' = x_0 + sum R_p (given - x_0) P_p, here one part at a time, in frames apart."""
    given = known(space, 60, lips=slice(5, 9), eyes=slice(30, 31), head=slice(50, 60))
    clean = torch.randn(1, 60, 70, generator=torch.Generator().manual_seed(1))
    result = Replacement.of(given, space)(clean)[0].numpy()
    before = clean[0].numpy()
    parts = projectors(space)
    expected = before.copy()
    for part in ("lips", "eyes"):
        index = PARTS.index(part)
        left = ramp_matrix(given.mask[:, index], FACE_REACH) @ (given.expression - before[:, :64])
        expected[:, :64] += left @ parts[index]
    expected[:, 64:] += ramp_matrix(given.mask[:, 3], HEAD_REACH) @ (given.pose - before[:, 64:])
    np.testing.assert_allclose(result, expected, atol=2e-4)
    assert not Replacement.of(given, space).complete.any()
    moved = space.displacements((result - before)[6, :64])
    lips, far = space.model.groups["inner_lips"], space.model.groups["brows"]
    assert np.linalg.norm(moved[lips], axis=1).mean() > 5 * np.linalg.norm(moved[far], axis=1).mean()


def test_columns_of_one_network(space):
    given = known(space, 30, lips=slice(3, 20), head=slice(10, 12))
    clean = torch.randn(1, 30, 70, generator=torch.Generator().manual_seed(2))
    both = Replacement.of(given, space)(clean)
    for columns in (slice(0, 64), slice(64, 70)):
        alone = Replacement.of(given, space, columns)
        torch.testing.assert_close(alone(clean[..., columns]), both[..., columns])
    assert np.array_equal(Replacement.of(given, space, slice(64, 70)).complete, given.mask[:, 3])
