"""The bytes of a VRM animation, read back as a loader reads them."""

from dataclasses import replace

import numpy as np
import pytest
from gltf_player import Player
from scipy.spatial.transform import Rotation

from fd2talk.export.vrm_animation import vrm_animation
from fd2talk.export.writer import export
from shared.arkit import NAMES, load_arkit_map

# Bones that VRM 1.0 requires, with the nearest one above that is required or the neck.
REQUIRED = {
    "hips": None, "spine": "hips", "head": "neck",
    "leftUpperLeg": "hips", "leftLowerLeg": "leftUpperLeg", "leftFoot": "leftLowerLeg",
    "rightUpperLeg": "hips", "rightLowerLeg": "rightUpperLeg", "rightFoot": "rightLowerLeg",
    "leftUpperArm": "spine", "leftLowerArm": "leftUpperArm", "leftHand": "leftLowerArm",
    "rightUpperArm": "spine", "rightLowerArm": "rightUpperArm", "rightHand": "rightLowerArm",
}  # fmt: skip


@pytest.fixture(scope="module")
def player(motion, tmp_path_factory):
    return Player(export(motion, tmp_path_factory.mktemp("vrma") / "m.vrma").path.read_bytes())


def extension(player):
    assert player.document["extensionsUsed"] == ["VRMC_vrm_animation"]
    return player.document["extensions"]["VRMC_vrm_animation"]


def place(player, name):
    """Of a bone without animation, in the world."""
    node = player.nodes[name]
    found = np.zeros(3)
    while node is not None:
        assert not {"rotation", "scale"} & set(player.document["nodes"][node])
        found += player.document["nodes"][node]["translation"]
        node = player.parents.get(node)
    return found


@pytest.mark.situation(
    "Exports",
    "an avatar in VRM",
    "head, mouth, blinks and gaze as VRM animation (.vrma)",
)
def test_the_skeleton_rests_in_the_t_pose(player):
    said = extension(player)
    bones = {name: bone["node"] for name, bone in said["humanoid"]["humanBones"].items()}
    assert said["specVersion"] == "1.0" and bones == {name: player.nodes[name] for name in bones}
    assert set(bones) == {*REQUIRED, "neck"}
    for name, parent in REQUIRED.items():
        assert player.parents.get(bones[name]) == (None if parent is None else bones[parent])
    for name in REQUIRED:
        mirrored = name.replace("left", "right") if "left" in name else name.replace("right", "left")
        np.testing.assert_allclose(place(player, name), place(player, mirrored) * [-1, 1, 1])
    # The avatar looks along z, so that its left is where x grows; arms to the sides, feet on the ground.
    assert place(player, "leftHand")[0] > place(player, "leftUpperArm")[0] + 0.4 > 0.4
    assert place(player, "leftHand")[1] == pytest.approx(place(player, "leftUpperArm")[1])
    heights = [place(player, name)[1] for name in ("leftFoot", "leftLowerLeg", "hips", "spine", "neck", "head")]
    assert heights == sorted(heights) and 0 < heights[0] < 0.1
    assert "meshes" not in player.document and "materials" not in player.document


def test_neck_and_head_together_turn_as_the_motion(player, motion):
    for frame in (0, 7, 19):
        time = frame / motion.fps
        neck, head = (Rotation.from_quat(player.value(name, "rotation", time)) for name in ("neck", "head"))
        np.testing.assert_allclose(
            (neck * head).as_matrix(), Rotation.from_rotvec(motion.rotation[frame]).as_matrix(), atol=1e-5
        )
        assert neck.magnitude() == pytest.approx(np.linalg.norm(motion.rotation[frame]) / 2, abs=1e-5)
    moved = {player.document["nodes"][c["target"]["node"]]["name"] for c in player.animation["channels"]}
    assert moved == {"neck", "head", "lookAt", *extension(player)["expressions"]["preset"]}


def test_expressions_are_the_x_of_translations(player, motion):
    preset = extension(player)["expressions"]["preset"]
    assert set(preset) == {"aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight"}
    curves = load_arkit_map().fit(motion)[0]
    weights = {}
    for name, said in preset.items():
        assert said["node"] == player.nodes[name] and "translation" not in player.document["nodes"][said["node"]]
        times, values = player.track(name, "translation")
        np.testing.assert_allclose(times, np.arange(len(motion)) / 25, atol=1e-6)
        assert not values[:, 1:].any() and values.min() >= 0 and values.max() <= 1
        weights[name] = values[:, 0]
    left, right = (curves[:, NAMES.index(f"eyeBlink{side}")] for side in ("Left", "Right"))
    np.testing.assert_allclose(weights["blink"] + weights["blinkLeft"], left, atol=1e-6)
    np.testing.assert_allclose(weights["blink"] + weights["blinkRight"], right, atol=1e-6)
    mouths = np.stack([weights[name] for name in ("aa", "ih", "ou", "ee", "oh")])
    assert mouths.sum(0).max() <= 1 + 1e-6
    opening = curves[:, NAMES.index("jawOpen")]
    assert np.corrcoef(mouths.sum(0), opening)[0, 1] > 0.8 and mouths[:, opening < 0.02].max() < 0.2


@pytest.mark.parametrize("name", ["aa", "ih", "ou", "ee", "oh"])
def test_a_clear_mouth_is_its_vowel(motion, name):
    shapes = {
        "aa": {"jawOpen": 0.4, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
        "ih": {"jawOpen": 0.14, "mouthStretch": 0.15, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
        "ou": {"jawOpen": 0.1, "mouthPucker": 0.6, "mouthFunnel": 0.2},
        "ee": {"jawOpen": 0.22, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
        "oh": {"jawOpen": 0.3, "mouthFunnel": 0.3, "mouthPucker": 0.3},
    }
    curves = np.zeros((len(motion), 52))
    for curve, value in shapes[name].items():
        curves[:, [k for k, n in enumerate(NAMES) if n in (curve, f"{curve}Left", f"{curve}Right")]] = value
    player = Player(vrm_animation(motion, curves, np.arange(len(motion)) / 25, {}))
    found = {vowel: player.value(vowel, "translation", 0)[0] for vowel in shapes}
    assert max(found, key=found.get) == name and found[name] > 0.5


def test_gaze_turns_z_to_the_person_s_left_and_up(motion, model):
    sideways, upwards = model.extra["gaze"]
    looks = np.zeros((len(motion), model.num_expression))
    looks[1:11] += 6 * sideways
    looks[11:20] += 6 * upwards
    moving = replace(motion, expression=looks, rotation=np.zeros_like(motion.rotation))
    player = Player(vrm_animation(moving, np.zeros((len(motion), 52)), np.arange(len(motion)) / 25, {}))
    assert extension(player)["lookAt"] == {"node": player.nodes["lookAt"], "offsetFromHeadBone": [0, 0.06, 0]}
    eyes = model.exp_basis[:, [468, 473]].mean(1)  # [D, 3]: how the irises move
    for frame in (5, 15):
        moved = (looks[frame] - np.median(looks, axis=0)) @ eyes
        ahead = Rotation.from_quat(player.value("lookAt", "rotation", frame / 25)).apply([0, 0, 1])
        axis = np.abs(moved[:2]).argmax()
        assert np.sign(ahead[axis]) == np.sign(moved[axis]) and abs(ahead[axis]) > 0.03 > abs(ahead[1 - axis]) / 3
