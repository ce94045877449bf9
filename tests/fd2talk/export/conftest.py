import numpy as np
import pytest

from shared.face_model import MorphableModel, load_bundled
from shared.motion import Motion

FRAMES = 30


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_bundled()


@pytest.fixture(scope="module")
def motion(model) -> Motion:
    """Mouth opening and closing, a blink, a nodding head that comes nearer."""
    random = np.random.default_rng(0)
    time = np.linspace(0, 2 * np.pi, FRAMES)
    expression = random.normal(0, 0.3, (1, model.num_expression)).repeat(FRAMES, 0)
    expression += np.outer(7 * (1 - np.cos(2 * time)), model.extra["open"])
    expression += np.outer(4 * np.exp(-((np.arange(FRAMES) - 20) ** 2) / 4), model.extra["blink"])
    rotation = np.stack([0.1 * np.sin(time), 0.3 * np.sin(time / 2), 0.05 * np.cos(time)], 1)
    translation = np.stack([0.05 * np.sin(time), -0.15 + 0 * time, -0.35 + 0.1 * np.cos(time)], 1)
    identity = random.normal(0, 0.7, model.num_identity)
    return Motion(expression, rotation, translation, model.fingerprint, identity=identity, source="made up")
