import numpy as np
import pytest


@pytest.fixture(scope="session")
def frames():
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(10)]


@pytest.fixture(scope="session")
def signed(tmp_path_factory, signer, frames):
    """A signed video with sound; do not change it."""
    from fd2talk.output import write_video

    path = tmp_path_factory.mktemp("signed") / "talk.mp4"
    write_video(path, frames, audio=np.zeros(6400, np.float32), source="fd2talk, seed 7", signer=signer)
    return path
