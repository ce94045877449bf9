"""Others read the exported mesh: Khronos' validator finds nothing, and three.js plays the motion that was exported."""

import numpy as np
import pytest
from material import short_speech, sine_motion

from fd2talk.export.writer import export, posed_vertices
from shared.face_model import load_bundled


@pytest.fixture(scope="module")
def motion():
    return sine_motion(short_speech())


@pytest.fixture(scope="module")
def path(motion, tmp_path_factory):
    return export(motion, tmp_path_factory.mktemp("export") / "motion.glb")


def test_the_validator_finds_nothing(node, path):
    issues = node("validate_gltf.mjs", path)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_the_validator_would_find_something(node, path, tmp_path):
    content = path.read_bytes()
    broken = tmp_path / "broken.glb"
    broken.write_bytes(content.replace(b'"VEC4"', b'"VEC2"', 1))
    assert node("validate_gltf.mjs", broken)["issues"]["numErrors"] > 0


def test_three_js_plays_the_motion(node, path, motion):
    frames = [0, 3, 7, len(motion) - 1]
    played = node("play_gltf.mjs", path, *(frame / motion.fps for frame in frames))
    assert played["meshes"] == 3  # skin, eyes and mouth, of the same vertices
    expected = posed_vertices(motion, load_bundled())[frames] / 1000
    assert np.ptp(expected, axis=0).max() > 0.003
    np.testing.assert_allclose(played["frames"], expected, atol=2e-5)
