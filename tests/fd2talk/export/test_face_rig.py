"""What a viewer plays is the motion that was exported."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from gltf_player import Player
from material import fitted_portrait, short_speech, sine_motion
from scipy.spatial.transform import Rotation

from fd2talk.export.face_rig import arkit_shapes
from fd2talk.export.writer import export, posed_vertices
from fd2talk.options import ExportOptions
from shared.arkit import NAMES, load_arkit_map
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, RIGHT_EYE

OWN = ExportOptions(morphs="expression")


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    def play(motion, **options):
        return Player(export(motion, tmp_path_factory.mktemp("glb") / "motion.glb", **options).path.read_bytes())

    return play


@pytest.fixture(scope="module")
def fitted():
    return fitted_portrait()


@pytest.fixture(scope="module")
def textured(play, fitted):
    return play(sine_motion(short_speech(), fitted), photo=fitted)


def test_the_models_own_targets_are_the_motion(play, motion, model):
    player = play(motion, options=OWN)
    camera = player.document["cameras"][0]["orthographic"]
    for frame in (0, 7, 20, len(motion) - 1):
        shown = player.vertices("face", frame / 25)[:478]
        np.testing.assert_allclose(shown * 1000, posed_vertices(motion, model)[frame], atol=0.01)
        # The camera of the file shows exactly the crop.
        shape = model.vertices(motion.identity, motion.expression[frame])
        crop = project(shape, motion.rotation[frame], motion.translation[frame])
        np.testing.assert_allclose(shown[:, :2] / camera["xmag"], crop[:, :2] * [1, -1], atol=1e-4)
    between = player.vertices("face", 7.5 / 25)[:478]
    np.testing.assert_allclose(between * 1000, posed_vertices(motion, model)[7:9].mean(0), atol=0.3)


@pytest.mark.parametrize("keep", [False, True])
def test_arkits_targets_are_nearly_the_motion(play, motion, model, keep):
    player = play(motion, options=ExportOptions(keep_expression=keep))
    assert player.mesh("face")["extras"]["targetNames"] == list(NAMES)
    curves = load_arkit_map().fit(motion, keep_expression=keep)[0]
    for frame in (0, 7, 20):
        np.testing.assert_allclose(player.value("face", "weights", frame / 25), curves[frame], atol=1e-6)
        away = player.vertices("face", frame / 25)[:478] * 1000 - posed_vertices(motion, model)[frame]
        assert np.linalg.norm(away[:468], axis=1).mean() < 0.6


def test_scene(play, motion):
    player = play(motion)
    assert player.document["asset"]["extras"]["synthetic_media"] is True
    for index in range(len(player.document["accessors"])):
        player.array(index)
    called = [node["name"] for node in player.document["nodes"]]
    names = {called[child]: called[parent] for child, parent in player.parents.items()}
    assert names == {name: "head" for name in ("face", "upperTeeth", "jaw", "leftEye", "rightEye")} | {
        "lowerTeeth": "jaw"
    }
    times, quaternions = player.track("head", "rotation")
    np.testing.assert_allclose(times, np.arange(len(motion)) / 25, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-5)
    for mesh in player.document["meshes"]:
        for primitive in mesh["primitives"]:
            normals = player.array(primitive["attributes"]["NORMAL"])
            np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_eyes_and_mouth_have_no_holes(play, motion, model):
    """Behind each opening there is a pocket: the only open edge of face and pockets is the outline of the face."""
    player = play(motion)
    mesh = player.mesh("face")
    points = player.array(mesh["primitives"][0]["attributes"]["POSITION"])
    faces = np.concatenate([player.array(p["indices"]).reshape(-1, 3) for p in mesh["primitives"]])
    same = np.unique(np.round(points, 7), axis=0, return_inverse=True)[1].ravel()  # pockets begin at copies of the rim
    edges = Counter(tuple(sorted((same[a], same[b]))) for face in faces for a, b in zip(face, np.roll(face, -1)))
    open_points = {point for edge, count in edges.items() if count == 1 for point in edge}
    for ring in (LEFT_EYE, RIGHT_EYE, INNER_LIPS):
        assert not open_points & set(same[list(ring)].tolist())
    assert {same[index] for index in model.groups["contour"]} <= open_points
    pocket = np.arange(478, len(points))
    assert points[pocket, 2].min() < points[list(INNER_LIPS), 2].min() - 0.015


def test_jaw_and_eyes_turn(play, model):
    moved = sine_motion(short_speech())
    moved.expression[-1] += 4 * model.extra["gaze"][0] + 6 * model.extra["open"]  # to the person's left
    player = play(moved)
    frame = moved.expression @ model.extra["open"]
    widest = int(frame[:-1].argmax())
    still, opened = (player.vertices("lowerTeeth", time)[:, 1].mean() for time in (frame.argmin() / 25, widest / 25))
    chin = np.ptp(posed_vertices(moved, model)[:, 152, 1]) / 1000
    assert still - opened > 0.3 * chin > 0.0005
    upper = player.vertices("upperTeeth", widest / 25) - player.vertices("upperTeeth", 0)
    assert np.abs(upper).max() < 0.3 * (still - opened) + 0.01  # they belong to the skull
    for eye in ("leftEye", "rightEye"):
        times, quaternions = player.track(eye, "rotation")
        ahead = Rotation.from_quat(quaternions).apply([0, 0, 1])
        assert ahead[-1, 0] > 0.1 > np.abs(ahead[:-1, 0]).max()


def test_lids_cover_the_eyeballs_and_one_eye_winks_alone(model):
    shapes = arkit_shapes(model)
    left = shapes[NAMES.index("eyeBlinkLeft")]
    assert left[386, 1] < -4 and abs(left[159, 1]) < 0.01
    assert not shapes[NAMES.index("tongueOut")].any()
    puff = shapes[NAMES.index("cheekPuff")]
    assert puff[411, 0] > 2 and puff[187, 0] < -2 and puff[411, 2] > 2 and np.abs(puff[33]).max() < 0.2
    assert shapes[NAMES.index("jawForward")][152, 2] > 4


def test_eyeballs_are_behind_the_lids_when_they_are_shut(play, fitted):
    photo = fitted
    blink = photo.model.extra["blink"] * 9
    motion = sine_motion(short_speech(), photo).still()
    motion.rotation[:] = 0
    motion.expression[:] = photo.expression
    motion.expression[-1] += blink
    player = play(motion, photo=photo, options=OWN)
    for time, hidden in ((0.0, False), (1.0, True)):
        face = player.vertices("face", time)
        for eye, (upper, lower) in {"leftEye": (386, 374), "rightEye": (159, 145)}.items():
            ball = player.vertices(eye, time)
            front = ball[ball[:, 2].argmax()]
            rim = face[[upper, lower]].mean(0)
            assert front[2] < rim[2] + 0.002
            opening = face[upper, 1] - face[lower, 1]
            assert (opening < 0.003) == hidden


def test_the_photo_is_the_texture(textured, fitted):
    player = textured
    images, names = player.document["images"], [material["name"] for material in player.document["materials"]]
    assert len(images) == 3 and set(names) >= {"skin", "mouth", "leftEye", "rightEye"}
    textured_parts = [p for p in player.mesh("face")["primitives"] if "TEXCOORD_0" in p["attributes"]]
    assert len(textured_parts) == 1
    uv = player.array(textured_parts[0]["attributes"]["TEXCOORD_0"])
    assert uv.min() >= 0 and uv.max() <= 1
    # The rest of the mesh is the photo's own: seen by the camera, every point lies on its pixel.
    camera = player.document["cameras"][0]["orthographic"]
    shown = player.vertices("face", 0)[:478, :2] / camera["xmag"] * [1, -1]
    crop = fitted.crop.to_crop(fitted.landmarks)[:, :2]
    moving = np.linalg.norm(shown - crop, axis=1)
    assert np.median(moving) < 0.01


def test_the_motion_of_another_person_moves_the_face_of_the_photo(play, motion, fitted):
    player = play(motion, photo=fitted)
    own = play(sine_motion(short_speech(), fitted), photo=fitted)
    first, second = (p.array(p.mesh("face")["primitives"][0]["attributes"]["POSITION"]) for p in (player, own))
    assert np.linalg.norm(first - second, axis=1).mean() < 0.003


def test_a_single_frame_without_identity(play, motion, model):
    one = motion.at(3)
    one.identity = None
    player = play(one, options=OWN)
    assert player.track("face", "weights")[0].tolist() == [0]
    neutral = player.array(player.mesh("face")["primitives"][0]["attributes"]["POSITION"])[:478]
    np.testing.assert_allclose(neutral * 1000, model.mean, atol=1e-3)


def test_quaternions_do_not_jump_where_the_angle_wraps(play, motion):
    still = motion.slice(0, 4)
    still.rotation = np.array([[0, a, 0] for a in (3.0, 3.1, -3.08, -2.98)], np.float32)
    _, quaternions = play(still).track("head", "rotation")
    assert ((quaternions[1:] * quaternions[:-1]).sum(1) > 0.99).all()


@pytest.mark.slow
def test_blender_loads_it_with_the_curves(tmp_path, fitted):
    """Blender is a package for one version of Python; FD2TALK_BLENDER_PYTHON may name a Python that has it."""
    python = os.environ.get("FD2TALK_BLENDER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import bpy"], capture_output=True).returncode:
        pytest.skip(f"{python} has no package bpy (Blender)")
    model = load_bundled()
    motion = sine_motion(short_speech(), fitted)
    motion.rotation[:] = 0  # Blender's own axes are tested by the mesh's size only
    path = export(motion, tmp_path / "motion.glb", photo=fitted).path
    script = Path(__file__).parents[2] / "helpers" / "load_in_blender.py"
    frames = [0, 3, 7]
    run = subprocess.run([python, script, path, "25", *map(str, frames)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found = json.loads(next(line for line in run.stdout.splitlines() if line.startswith("JSON"))[4:])
    assert found["objects"] | {"camera": None} == {
        "head": None, "camera": None, "face": "head", "jaw": "head", "upperTeeth": "head", "lowerTeeth": "jaw",
        "leftEye": "head", "rightEye": "head",
    }  # fmt: skip
    assert len(found["images"]) == 3
    curves = load_arkit_map().fit(motion)[0]
    points = posed_vertices(motion, model) / 1000
    for frame, seen in zip(frames, found["frames"], strict=True):
        assert list(seen["keys"]) == list(NAMES)
        np.testing.assert_allclose(list(seen["keys"].values()), curves[frame], atol=1e-4)
        x, depth, z = np.array(seen["vertices"]).T  # z is up in Blender, y away from the viewer
        np.testing.assert_allclose(np.ptp(x), np.ptp(points[frame, :468, 0]), rtol=0.05)
        np.testing.assert_allclose(np.ptp(z), np.ptp(points[frame, :468, 1]), rtol=0.05)
    assert np.ptp(curves[frames], axis=0).max() > 0.1
