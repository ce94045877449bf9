"""A small training of 3DiFACE, on noise of four people."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from shared.motion import Motion
from shared.splits import is_development
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.diface.model import Sampler
from stage1_motion.models.diface.network import DenoiserConfig
from stage1_motion.models.diface.training import DifaceTask
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import Clip

SPEECH = 7


@pytest.fixture(scope="session")
def small():
    """`space`, `clips(frames)` of four people of whom one is a development person, and `task(...)`."""
    model, random = load_bundled(), np.random.default_rng(1)
    std = random.uniform(0.5, 1, model.num_expression), random.uniform(0.01, 0.05, 6)
    space = MotionSpace(model, *(values.astype(np.float32) for values in std))

    def clips(frames=40):
        random = np.random.default_rng(0)
        people = [f"person {i}" for i in range(12)]
        people = [p for p in people if is_development(p)][:1] + [p for p in people if not is_development(p)][:3]
        result = []
        for person in people:
            motion = Motion(
                expression=random.normal(size=(frames, model.num_expression)).astype(np.float32),
                rotation=random.normal(0, 0.05, (frames, 3)).astype(np.float32),
                translation=random.normal(0, 0.05, (frames, 3)).astype(np.float32),
                face_model=model.fingerprint,
                identity=random.normal(size=model.num_identity).astype(np.float32),
            )
            speech = random.normal(size=(frames, SPEECH)).astype(np.float32)
            result.append(Clip(person, person, motion, speech, motion.expression, motion.rotation, 4.8, 0.035))
        return result

    def task(frames=40, head=True, network=None, **settings):
        torch.manual_seed(0)
        coordinates, made = Coordinates(space, 20.0, head), clips(frames)
        sizes = {"width": 8, "speech_width": 8, "kernel": 3, "levels": 1, **(network or {})}
        config = DenoiserConfig(coordinates.count, SPEECH, 3, **sizes)
        settings = {"frames": 12, "sampler": Sampler(steps=2), **settings}
        return DifaceTask(made[1:], made[:1], coordinates, config, **settings)

    return SimpleNamespace(space=space, clips=clips, task=task)
