"""Others read the exported mesh: Khronos' validator finds nothing, and three.js plays the motion that was exported."""

import numpy as np
import pytest
from material import portrait, short_speech, sine_motion

from fd2talk.export.writer import export, posed_vertices
from fd2talk.options import ExportOptions
from shared.arkit import NAMES, load_arkit_map
from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit


@pytest.fixture(scope="module")
def photo():
    return PhotoFit.fit(np.array(portrait()))


@pytest.fixture(scope="module")
def motion(photo):
    return sine_motion(short_speech(), photo)


@pytest.fixture(scope="module")
def path(motion, photo, tmp_path_factory):
    """Textured, with ARKit's morph targets."""
    return export(motion, tmp_path_factory.mktemp("export") / "motion.glb", photo=photo).path


@pytest.mark.parametrize("textured", [True, False])
@pytest.mark.parametrize("morphs", ["arkit", "expression"])
def test_the_validator_finds_nothing(node, motion, photo, tmp_path, textured, morphs):
    options = ExportOptions(morphs=morphs)
    path = export(motion, tmp_path / "motion.glb", photo=photo if textured else None, options=options).path
    assert node("validate_gltf.mjs", path)["issues"]["messages"] == []


def test_the_validator_would_find_something(node, path, tmp_path):
    content = path.read_bytes()
    broken = tmp_path / "broken.glb"
    broken.write_bytes(content.replace(b'"VEC4"', b'"VEC2"', 1))
    assert node("validate_gltf.mjs", broken)["issues"]["numErrors"] > 0


def test_of_a_vrm_animation_the_validator_notes_the_extension_and_the_bones_alone(node, motion, tmp_path):
    messages = node("validate_gltf.mjs", export(motion, tmp_path / "motion.vrma").path)["issues"]["messages"]
    assert {message["code"] for message in messages} == {"UNSUPPORTED_EXTENSION", "NODE_EMPTY"}


def test_three_js_plays_the_motion(show, motion, tmp_path):
    path = export(motion, tmp_path / "motion.glb", options=ExportOptions(morphs="expression")).path
    frames = [0, 3, 7, len(motion) - 1]
    played = show(path, 100, "own-targets", *(frame / motion.fps for frame in frames))["frames"]
    expected = posed_vertices(motion, load_bundled())[frames] / 1000
    assert np.ptp(expected, axis=0).max() > 0.003
    vertices = np.array([frame["vertices"] for frame in played])
    np.testing.assert_allclose(vertices[:, :478], expected, atol=2e-5)


def test_three_js_shows_photo_and_curves(show, motion, path):
    frames = [0, 3, 7]
    shown = show(path, 300, "gltf", *(frame / motion.fps for frame in frames))
    assert shown["problems"] == []
    curves = load_arkit_map().fit(motion)[0]
    assert np.ptp(curves[frames], axis=0).max() > 0.1
    for frame, seen in zip(frames, shown["frames"], strict=True):
        assert seen["textures"] == 3  # face and two eyes
        assert sorted(seen["weights"]) == sorted(NAMES)
        np.testing.assert_allclose([seen["weights"][name] for name in NAMES], curves[frame], atol=1e-5)
        assert {"head", "jaw", "leftEye", "rightEye"} <= set(seen["rotations"])
