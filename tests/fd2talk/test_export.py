"""Exports: what another program would read out of the files is the motion that went in."""

import csv
import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from fd2talk.export.arkit import NAMES, load_arkit_map
from fd2talk.export.writer import export, head_angles, posed_vertices
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import project
from shared.face_model.measures import lip_gap
from shared.face_model.obj import read_obj
from shared.motion import Motion

FRAMES = 30


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_bundled()


@pytest.fixture(scope="module")
def motion(model) -> Motion:
    """Mouth opening and closing, a blink, a nodding head that comes nearer."""
    random = np.random.default_rng(0)
    time = np.linspace(0, 2 * np.pi, FRAMES)
    expression = random.normal(0, 0.3, (1, model.num_expression)).repeat(FRAMES, 0)
    expression += np.outer(7 * (1 - np.cos(2 * time)), model.extra["open"])
    expression += np.outer(4 * np.exp(-((np.arange(FRAMES) - 20) ** 2) / 4), model.extra["blink"])
    rotation = np.stack([0.1 * np.sin(time), 0.3 * np.sin(time / 2), 0.05 * np.cos(time)], 1)
    translation = np.stack([0.05 * np.sin(time), -0.15 + 0 * time, -0.35 + 0.1 * np.cos(time)], 1)
    identity = random.normal(0, 0.7, model.num_identity)
    return Motion(expression, rotation, translation, model.fingerprint, identity=identity, source="made up")


# -- glTF ------------------------------------------------------------------------------------------------------------


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
    for frame in (0, 7, 20, FRAMES - 1):
        seen = player.vertices(frame / 25)
        np.testing.assert_allclose(seen * 1000, posed_vertices(motion, model)[frame], atol=0.01)
        # The file's camera sees exactly the crop.
        shape = model.vertices(motion.identity, motion.expression[frame])
        crop = project(shape, motion.rotation[frame], motion.translation[frame])
        np.testing.assert_allclose(seen[:, :2] / camera["xmag"], crop[:, :2] * [1, -1], atol=1e-4)
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
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-6)
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


# -- blendshape curves -------------------------------------------------------------------------------------------------


def read_csv(path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


def test_csv(tmp_path, motion):
    header, rows = read_csv(export(motion, tmp_path / "curves.csv"))
    assert header[:2] == ["Timecode", "BlendshapeCount"]
    assert tuple(header[2:54]) == NAMES and header[54:] == ["headYaw", "headPitch", "headRoll"]
    assert len(rows) == FRAMES and {len(row) for row in rows} == {57} and {row[1] for row in rows} == {"55"}
    assert [rows[i][0] for i in (0, 1, 24, 25)] == [
        "00:00:00:00.000",
        "00:00:00:01.000",
        "00:00:00:24.000",
        "00:00:01:00.000",
    ]
    values = np.array([row[2:] for row in rows], float)
    scores = dict(zip(header[2:], values.T))
    assert values[:, :52].min() >= 0 and values[:, :52].max() <= 1
    assert not scores["tongueOut"].any()
    np.testing.assert_allclose(values[:, 52:], head_angles(motion.rotation), atol=1e-6)


def test_scores_follow_mouth_and_eyes(motion, model):
    scores = dict(zip(NAMES, load_arkit_map()(motion).T))
    opening = lip_gap(model.vertices(motion.identity, motion.expression))
    assert np.corrcoef(opening, scores["jawOpen"])[0, 1] > 0.85
    assert np.ptp(scores["jawOpen"]) > 0.05
    for side in ("Left", "Right"):
        blink = scores[f"eyeBlink{side}"]
        assert blink.argmax() in (19, 20, 21) and blink.max() > blink[:10].max() + 0.2
    neutral = motion.at(0)
    neutral.expression[:], neutral.identity = 0, None
    rest = dict(zip(NAMES, load_arkit_map()(neutral)[0]))
    for side in ("Smile", "Stretch", "LowerDown"):  # the map is as symmetric as the face
        assert rest[f"mouth{side}Left"] == pytest.approx(rest[f"mouth{side}Right"], abs=0.02)
    assert rest["jawOpen"] < 0.15


def test_head_angles_have_the_signs_that_are_written_down():
    def turned(axis: int, vector: list[float]) -> np.ndarray:
        return Rotation.from_rotvec(np.eye(3)[axis] * 0.2).apply(vector)

    yaw, pitch, roll = (head_angles(np.eye(3)[[axis]] * 0.2)[0] for axis in (1, 0, 2))
    assert turned(1, [0, 0, 1])[0] > 0  # the nose goes to the person's left
    np.testing.assert_allclose(yaw, [0.2, 0, 0], atol=1e-6)
    assert turned(0, [0, 0, 1])[1] < 0  # the nose goes down
    np.testing.assert_allclose(pitch, [0, -0.2, 0], atol=1e-6)
    assert turned(2, [0, 1, 0])[0] < 0  # the head's top goes to the person's right
    np.testing.assert_allclose(roll, [0, 0, 0.2], atol=1e-6)


@pytest.mark.parametrize(("fps", "index", "wanted"), [(30.0, 31, "00:00:01:01.000"), (29.97, 30, "00:00:01:00.030")])
def test_timecodes_of_other_frame_rates(tmp_path, motion, fps, index, wanted):
    long = motion.concat(motion)
    long.fps = fps
    _, rows = read_csv(export(long, tmp_path / "curves.csv"))
    assert rows[index][0] == wanted


# -- meshes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["meshes", "meshes.obj"])
def test_obj_sequence(tmp_path, motion, model, name):
    folder = export(motion, tmp_path / name)
    assert folder == tmp_path / "meshes"
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"meshes_{i:05d}.obj" for i in range(FRAMES)]
    vertices, triangles = read_obj(files[20])
    np.testing.assert_array_equal(triangles, model.triangles)
    np.testing.assert_allclose(vertices, posed_vertices(motion, model)[20], atol=1e-3)


def test_ply_sequence(tmp_path, motion, model):
    folder = export(motion.slice(0, 2), tmp_path / "take.ply")
    content = (folder / "take_00001.ply").read_bytes()
    header, body = content.split(b"end_header\n", 1)
    assert b"element vertex 478" in header and b"element face 898" in header
    vertices = np.frombuffer(body, "<f4", 478 * 3).reshape(-1, 3)
    np.testing.assert_array_equal(vertices, posed_vertices(motion.slice(0, 2), model)[1])
    faces = np.frombuffer(body, [("n", "u1"), ("corners", "<i4", 3)], offset=478 * 12)
    assert (faces["n"] == 3).all()
    np.testing.assert_array_equal(faces["corners"], model.triangles)


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.glb", "a.csv", "a.obj"])
def test_existing_outputs(tmp_path, motion, name):
    short = motion.slice(0, 3)
    output = export(motion, tmp_path / name)
    with pytest.raises(UsageError, match="already exists"):
        export(short, tmp_path / name)
    assert output.is_file() or len(list(output.iterdir())) == FRAMES
    export(short, tmp_path / name, overwrite=True)
    assert output.is_file() or len(list(output.iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_a_folder_with_other_things_is_never_replaced(tmp_path, motion):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("dear")
    with pytest.raises(UsageError, match="other things"):
        export(motion, tmp_path / "holiday", overwrite=True)
    assert (tmp_path / "holiday" / "photo.jpg").read_text() == "dear"


def test_refusals(tmp_path, motion):
    with pytest.raises(UsageError, match="not .fbx"):
        export(motion, tmp_path / "a.fbx")
    for name in ("none/a.glb", "none/a.obj"):
        with pytest.raises(UsageError, match="does not exist"):
            export(motion, tmp_path / name)
    foreign = motion.at(0)
    foreign.face_model = "flame:0000000000000000"
    with pytest.raises(InputError, match="flame:0000000000000000"):
        export(foreign, tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, motion, monkeypatch):
    import fd2talk.export.writer as module

    calls = []

    def fail_at_the_third(vertices, triangles, comment):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return b"x"

    monkeypatch.setattr(module, "ply_bytes", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        export(motion, tmp_path / "a.ply")
    assert len(calls) == 3 and not list(tmp_path.iterdir())
