"""What the tables of styles measure."""

from types import SimpleNamespace

import numpy as np
import pytest
from evaluate_styles import movement, on_demo
from scipy.spatial.transform import Rotation

from shared.face_model import load_bundled
from stage1_motion.motion_space import MotionSpace


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    return MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))


def test_the_speed_of_a_head_is_that_of_its_turn_whatever_the_axis(space, still):
    pipeline, frames = SimpleNamespace(model=SimpleNamespace(space=space)), 25
    for axis in ([1, 0, 0], [0, 1, 0], [0.6, 0, 0.8], [3**-0.5] * 3):
        motion = still(frames)
        motion.identity = np.zeros(space.model.num_identity, np.float32)
        start = Rotation.from_euler("YXZ", [40, 20, 10], degrees=True)
        turned = Rotation.from_rotvec(np.radians(np.arange(frames))[:, None] * axis) * start  # a degree a frame
        motion.rotation = turned.as_rotvec().astype(np.float32)
        assert movement(pipeline, motion)[2] == pytest.approx(25, rel=1e-3)


def test_every_recording_has_its_seed(space, still):
    seeds = []

    def generate(audio, *, seed, style, options):
        seeds.append((seed, len(audio)))
        motion = still(2)
        motion.identity = np.zeros(space.model.num_identity, np.float32)
        return motion

    generate.model = SimpleNamespace(space=space)
    assert on_demo(generate, None).shape == (3,)
    assert len(seeds) == len({seed for seed, _ in seeds}) > 1
