from dataclasses import replace

import numpy as np
import pytest
from material import fitted_portrait, sine_motion

from shared.tracking import Track
from stage2_render.editing.footage import Footage
from stage2_render.pipeline import RenderPipeline

FRAMES = 20


@pytest.fixture(scope="session")
def talking():
    """A portrait whose mouth opens and closes while it nods: its fit, motion and frames."""
    photo = fitted_portrait()
    motion = sine_motion(np.zeros(FRAMES * 640, np.float32), photo)
    return photo, motion, list(RenderPipeline(photo.model)(photo, motion, workers=0))


@pytest.fixture
def footage(talking):
    """The video of `talking`, tracked without error; its `opened` counts how often it is read."""
    photo, motion, frames = talking
    points = photo.vertices_px(motion.expression, motion.rotation, motion.translation)

    def read():
        made.opened += 1
        for frame in frames:
            made.read += 1
            yield frame

    made = Footage(photo.model, read, Track(points, np.ones(FRAMES), photo.crop), replace(motion), (240, 240))
    made.opened = made.read = 0
    return made
