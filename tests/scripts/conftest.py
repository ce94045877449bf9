import sys
from pathlib import Path

import numpy as np
import pytest

# Scripts import each other from their own folder, which Python adds to its path when it runs one.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture(scope="session")
def photo():
    from shared.face_model import load_bundled
    from shared.media import read_image
    from shared.photo_fit import PhotoFit
    from shared.weights import bundled

    return PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")), load_bundled())


@pytest.fixture(scope="session")
def still(photo):
    """Number of frames -> a motion in which nothing moves."""
    from shared.motion import Motion

    own = (photo.expression, photo.rotation, photo.translation)
    return lambda frames: Motion(*(np.tile(values, (frames, 1)) for values in own), photo.model.fingerprint)
