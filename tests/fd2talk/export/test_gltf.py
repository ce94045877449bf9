"""The encoder, with a scene of a square and a triangle."""

import io

import numpy as np
import pytest
from gltf_player import Player
from PIL import Image

from fd2talk.export.gltf import Material, Mesh, Node, glb_bytes, vertex_normals

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
HALVES = np.array([[0, 1, 2]]), np.array([[0, 2, 3]])


def jpeg():
    content = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def player():
    photo, plain = Material("photo", texture=jpeg(), unlit=True), Material("plain", (0.1, 0.2, 0.3, 1.0))
    lift = np.zeros((4, 3))
    lift[2, 2] = 1
    square = Mesh(
        "square", SQUARE, ((HALVES[0], photo), (HALVES[1], plain)), SQUARE[:, :2], {"lift": lift, "sink": -lift}
    )
    flag = Mesh("flag", SQUARE, ((HALVES[0], plain),))
    times = np.array([0.0, 1.0])
    turn = np.array([[0, 0, 0, 1], [0, 0, np.sqrt(0.5), np.sqrt(0.5)]])
    below = Node("below", flag, np.array([0.0, 5, 0]), {"rotation": turn})
    top = Node(
        "top", square, tracks={"weights": np.array([[0, 0], [1, 0.25]]), "scale": np.array([[1, 1, 1], [2, 2, 2]])},
        children=(below,),
    )  # fmt: skip
    return Player(glb_bytes([top, Node("camera", translation=np.array([0, 0, 3]), camera=1.5)], times, {"fps": 1}))


def test_tree_and_animation(player):
    assert player.document["scenes"] == [{"nodes": [player.nodes["top"], player.nodes["camera"]]}]
    assert player.parents == {player.nodes["below"]: player.nodes["top"]}
    np.testing.assert_allclose(player.vertices("top", 0), SQUARE)
    np.testing.assert_allclose(player.vertices("top", 1)[2], [2, 2, 2 * (1 - 0.25)])
    # A quarter turn about z in the parent, which is twice as large.
    np.testing.assert_allclose(player.vertices("below", 1)[1], [0, 2 * (5 + 1), 0], atol=1e-6)
    np.testing.assert_allclose(
        player.vertices("below", 0.5)[1], 1.5 * np.array([np.sqrt(0.5), 5 + np.sqrt(0.5), 0]), atol=1e-6
    )


def test_meshes_and_materials(player):
    square, flag = player.mesh("top"), player.mesh("below")
    assert square["extras"]["targetNames"] == ["lift", "sink"] and square["weights"] == [0, 0]
    assert "extras" not in flag and "targets" not in flag["primitives"][0]
    photo, plain = square["primitives"]
    assert "TEXCOORD_0" in photo["attributes"] and "TEXCOORD_0" not in plain["attributes"]
    assert photo["targets"] == plain["targets"] and photo["attributes"]["POSITION"] == plain["attributes"]["POSITION"]
    materials = player.document["materials"]
    assert [material["name"] for material in materials] == ["photo", "plain"]  # the flag shares the second one
    assert flag["primitives"][0]["material"] == 1
    assert materials[0]["extensions"] == {"KHR_materials_unlit": {}} and "extensions" not in materials[1]
    assert player.document["extensionsUsed"] == ["KHR_materials_unlit"]
    (image,) = player.document["images"]
    view = player.document["bufferViews"][image["bufferView"]]
    stored = player.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert stored == jpeg() and view["byteOffset"] % 4 == 0
    (camera,) = player.document["cameras"]
    assert camera["orthographic"]["xmag"] == 1.5 and camera["orthographic"]["zfar"] > 3


def test_normals_of_a_roof():
    points = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1], [-1, 0, 1.0], [9, 9, 9]])
    faces = np.array([[0, 2, 1], [0, 1, 3]])
    normals = vertex_normals(points, faces)
    np.testing.assert_allclose(normals[2], np.array([-1, 0, 1]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(normals[3], np.array([1, 0, 1]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(normals[[0, 4]], [[0, 0, 1], [0, 0, 1]], atol=1e-6)
