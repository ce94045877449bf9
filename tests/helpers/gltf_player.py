"""Reads glTF 2.0 binary and plays its animation, as a viewer does."""

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation, Slerp


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
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
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
    """Morph targets by weights, then the transforms of the node and of those above it."""

    def __init__(self, content: bytes) -> None:
        self.document, self.binary = parse_glb(content)
        (self.animation,) = self.document["animations"]
        self.nodes = {node["name"]: number for number, node in enumerate(self.document["nodes"])}
        self.parents = {
            child: number for number, node in enumerate(self.document["nodes"]) for child in node.get("children", [])
        }

    def array(self, index: int) -> np.ndarray:
        return read_accessor(self.document, self.binary, index)

    def mesh(self, node: str) -> dict:
        return self.document["meshes"][self.document["nodes"][self.nodes[node]]["mesh"]]

    def track(self, node: str, path: str) -> tuple[np.ndarray, np.ndarray] | None:
        target = {"node": self.nodes[node], "path": path}
        for channel in self.animation["channels"]:
            if channel["target"] == target:
                sampler = self.animation["samplers"][channel["sampler"]]
                assert sampler["interpolation"] == "LINEAR"
                return self.array(sampler["input"]), self.array(sampler["output"])
        return None

    def value(self, node: str, path: str, time: float) -> np.ndarray | None:
        if (track := self.track(node, path)) is None:
            return self.document["nodes"][self.nodes[node]].get(path)
        times, values = track
        values = values.reshape(len(times), -1)
        time = np.clip(time, times[0], times[-1])
        if path == "rotation":
            return Slerp(times, Rotation.from_quat(values))(time).as_quat() if len(times) > 1 else values[0]
        return np.array([np.interp(time, times, column) for column in values.T])

    def vertices(self, node: str, time: float) -> np.ndarray:
        """[N, 3] in the world, metres."""
        primitive = self.mesh(node)["primitives"][0]
        points = self.array(primitive["attributes"]["POSITION"]).astype(float)
        weights = self.value(node, "weights", time)
        for number, target in enumerate(primitive.get("targets", [])):
            points = points + weights[number] * self.array(target["POSITION"])
        number = self.nodes[node]
        while number is not None:
            name = self.document["nodes"][number]["name"]
            if (scale := self.value(name, "scale", time)) is not None:
                points = points * scale
            if (rotation := self.value(name, "rotation", time)) is not None:
                points = points @ Rotation.from_quat(rotation).as_matrix().T
            if (translation := self.value(name, "translation", time)) is not None:
                points = points + translation
            number = self.parents.get(number)
        return points
