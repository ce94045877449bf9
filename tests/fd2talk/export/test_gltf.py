"""What a viewer plays is the motion that was exported."""

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from fd2talk.export.writer import export, posed_vertices
from shared.face_model.camera import project


def parse_glb(content: bytes) -> tuple[dict, bytes]:
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    json_length, json_kind = struct.unpack_from("<I4s", content, 12)
    assert json_kind == b"JSON" and json_length % 4 == 0
    document = json.loads(content[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack_from("<I4s", content, 20 + json_length)
    assert binary_kind == b"BIN\0" and binary_length % 4 == 0
    binary = content[28 + json_length :]
    assert len(binary) == binary_length == document["buffers"][0]["byteLength"]
    return document, binary


def read_accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(binary)
    assert view["byteLength"] == accessor["count"] * width * 4
    values = np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"])
    values = values.reshape(-1, width) if width > 1 else values
    assert np.isfinite(values).all()
    if "min" in accessor:
        np.testing.assert_array_equal(np.atleast_1d(values.min(0)), np.array(accessor["min"], np.float32))
        np.testing.assert_array_equal(np.atleast_1d(values.max(0)), np.array(accessor["max"], np.float32))
    return values


class Player:
    """What a viewer does: morph targets by weights, then the node's scale, rotation, translation."""

    def __init__(self, content: bytes) -> None:
        self.document, self.binary = parse_glb(content)
        (self.animation,) = self.document["animations"]
        self.primitives = self.document["meshes"][0]["primitives"]

    def array(self, index: int) -> np.ndarray:
        return read_accessor(self.document, self.binary, index)

    def track(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        (channel,) = [c for c in self.animation["channels"] if c["target"] == {"node": 0, "path": path}]
        sampler = self.animation["samplers"][channel["sampler"]]
        assert sampler["interpolation"] == "LINEAR"
        return self.array(sampler["input"]), self.array(sampler["output"])

    def vertices(self, time: float) -> np.ndarray:
        times, weights = self.track("weights")
        weights = weights.reshape(len(times), -1)
        time = np.clip(time, times[0], times[-1])

        def linear(values: np.ndarray) -> np.ndarray:
            return np.array([np.interp(time, times, column) for column in values.T])

        primitive = self.primitives[0]
        points = self.array(primitive["attributes"]["POSITION"]).astype(float)
        for weight, target in zip(linear(weights), primitive["targets"], strict=True):
            points = points + weight * self.array(target["POSITION"])
        rotation = Slerp(times, Rotation.from_quat(self.track("rotation")[1]))(time).as_matrix()
        return points * linear(self.track("scale")[1]) @ rotation.T + linear(self.track("translation")[1])


def test_glb_plays_the_motion(tmp_path, motion, model):
    path = export(motion, tmp_path / "motion.glb")
    player = Player(path.read_bytes())
    camera = player.document["cameras"][0]["orthographic"]
    for frame in (0, 7, 20, len(motion) - 1):
        shown = player.vertices(frame / 25)
        np.testing.assert_allclose(shown * 1000, posed_vertices(motion, model)[frame], atol=0.01)
        # The camera of the file shows exactly the crop.
        shape = model.vertices(motion.identity, motion.expression[frame])
        crop = project(shape, motion.rotation[frame], motion.translation[frame])
        np.testing.assert_allclose(shown[:, :2] / camera["xmag"], crop[:, :2] * [1, -1], atol=1e-4)
    between = player.vertices(7.5 / 25)
    np.testing.assert_allclose(between * 1000, posed_vertices(motion, model)[7:9].mean(0), atol=0.3)


def test_glb_is_well_formed(tmp_path, motion, model):
    content = export(motion, tmp_path / "motion.glb").read_bytes()
    player = Player(content)
    document = player.document
    for index in range(len(document["accessors"])):
        player.array(index)
    assert document["asset"]["version"] == "2.0"
    assert document["asset"]["extras"]["face_model"] == model.fingerprint
    (mesh,) = document["meshes"]
    assert len(mesh["weights"]) == len(mesh["extras"]["targetNames"]) == model.num_expression
    assert len(set(mesh["extras"]["targetNames"])) == model.num_expression
    faces = np.concatenate([player.array(p["indices"]).reshape(-1, 3) for p in mesh["primitives"]])
    assert sorted(map(tuple, faces.tolist())) == sorted(map(tuple, model.triangles.tolist()))
    names = [document["materials"][p["material"]]["name"] for p in mesh["primitives"]]
    counts = [len(player.array(p["indices"])) // 3 for p in mesh["primitives"]]
    assert dict(zip(names, counts)) == {"skin": 852, "eyes": 28, "mouth": 18}
    for primitive in mesh["primitives"]:
        assert len(primitive["targets"]) == model.num_expression
        position = document["accessors"][primitive["attributes"]["POSITION"]]
        assert position["count"] == model.num_vertices and {"min", "max"} <= position.keys()
        normals = player.array(primitive["attributes"]["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        assert (normals[:, 2] > 0).mean() > 0.9
    times, quaternions = player.track("rotation")
    np.testing.assert_allclose(times, np.arange(len(motion)) / 25, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-5)
    assert ((quaternions[1:] * quaternions[:-1]).sum(1) > 0).all()
    assert {c["target"]["path"] for c in player.animation["channels"]} == {
        "weights",
        "rotation",
        "translation",
        "scale",
    }


def test_glb_of_a_single_frame_and_of_no_identity(tmp_path, motion, model):
    one = motion.at(3)
    one.identity = None
    player = Player(export(one, tmp_path / "one.glb").read_bytes())
    times, _ = player.track("weights")
    assert times.tolist() == [0]
    neutral = player.array(player.primitives[0]["attributes"]["POSITION"])
    np.testing.assert_allclose(neutral * 1000, model.mean, atol=1e-3)


def test_quaternions_do_not_jump_where_the_angle_wraps(tmp_path, motion, model):
    still = motion.slice(0, 4)
    still.rotation = np.array([[0, a, 0] for a in (3.0, 3.1, -3.08, -2.98)], np.float32)
    _, quaternions = Player(export(still, tmp_path / "wrap.glb").read_bytes()).track("rotation")
    assert ((quaternions[1:] * quaternions[:-1]).sum(1) > 0.99).all()
