import pytest
from material import nodding_motion

from shared.face_model import MorphableModel, load_bundled
from shared.motion import Motion


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_bundled()


@pytest.fixture(scope="module")
def motion() -> Motion:
    return nodding_motion()
