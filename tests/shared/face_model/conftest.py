"""The bundled face model for the tests of this room."""

import numpy as np
import pytest

from shared.face_model import MorphableModel, load_bundled


@pytest.fixture(scope="session")
def model() -> MorphableModel:
    return load_bundled()


@pytest.fixture(scope="session")
def face(model) -> MorphableModel:
    """The same where `model` is a foreign face model."""
    return model


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
