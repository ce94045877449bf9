"""glTF 2.0 binary: a face with its expression basis as morph targets and the motion as animation."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np

_FLOAT, _UINT = 5126, 5125
_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963


@dataclass(frozen=True)
class Part:
    """Triangles that share a material.

    Args:
        name: of the material.
        triangles: int [F, 3].
        color: red, green, blue, alpha, linear, in [0, 1].
    """

    name: str
    triangles: np.ndarray
    color: tuple[float, float, float, float]


@dataclass(frozen=True)
class Animation:
    """Keyframes of morph target weights and of the node's transform.

    Args:
        times: [T], seconds.
        weights: [T, D].
        rotation: [T, 4], quaternions x, y, z, w.
        translation: [T, 3], metres.
        scale: [T, 3].
    """

    times: np.ndarray
    weights: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    scale: np.ndarray


class _Buffer:
    """The binary chunk and the accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add(self, values: np.ndarray, kind: str, *, target: int | None = None, bounds: bool = False) -> int:
        """Append an array and return the index of its accessor.

        Args:
            values: [n] or [n, c]. All elements have four bytes, so that everything stays aligned.
            kind: the accessor's type.
            target: the view's target, for vertices and indices.
            bounds: whether to write minimum and maximum.
        """
        values = np.ascontiguousarray(values, "<u4" if values.dtype.kind in "iu" else "<f4")
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes}
        if target is not None:
            view["target"] = target
        accessor = {
            "bufferView": len(self.views),
            "componentType": _UINT if values.dtype.kind == "u" else _FLOAT,
            "count": len(values),
            "type": kind,
        }
        if bounds:
            accessor["min"] = np.atleast_1d(values.min(0)).tolist()
            accessor["max"] = np.atleast_1d(values.max(0)).tolist()
        self.data += values.tobytes()
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Compute the normals of a mesh.

    Args:
        vertices: [N, 3].
        triangles: int [F, 3].

    Returns:
        float32 [N, 3], unit vectors: the area-weighted mean over adjacent faces, (0, 0, 1) where there are none.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(length > 1e-9, normals / np.maximum(length, 1e-9), [0.0, 0.0, 1.0]).astype(np.float32)


def glb_bytes(
    name: str,
    neutral: np.ndarray,
    targets: np.ndarray,
    parts: list[Part],
    animation: Animation,
    view_half_extent: float,
    extras: dict,
) -> bytes:
    """Encode one animated face as GLB.

    Args:
        name: of the mesh.
        neutral: [N, 3], metres (x right, y up, z towards the viewer, as in glTF).
        targets: [D, N, 3], metres: displacement for weight 1.
        parts: triangles by material.
        animation: keyframes.
        view_half_extent: half of the side, in metres, of the square that the orthographic camera shows.
        extras: metadata of the asset.
    """
    triangles = np.concatenate([part.triangles for part in parts])
    normals = vertex_normals(neutral, triangles)
    buffer = _Buffer()

    def shape(positions: np.ndarray, normals: np.ndarray) -> dict[str, int]:
        position = buffer.add(positions, "VEC3", target=_ARRAY_BUFFER, bounds=True)
        return {"POSITION": position, "NORMAL": buffer.add(normals, "VEC3", target=_ARRAY_BUFFER)}

    attributes = shape(neutral, normals)
    morphs = [shape(target, vertex_normals(neutral + target, triangles) - normals) for target in targets]
    primitives = []
    for number, part in enumerate(parts):
        indices = buffer.add(part.triangles.ravel(), "SCALAR", target=_INDEX_BUFFER)
        primitives.append({"attributes": attributes, "indices": indices, "material": number, "targets": morphs})
    times = buffer.add(animation.times, "SCALAR", bounds=True)
    tracks = {
        "weights": buffer.add(animation.weights.ravel(), "SCALAR"),
        "rotation": buffer.add(animation.rotation, "VEC4"),
        "translation": buffer.add(animation.translation, "VEC3"),
        "scale": buffer.add(animation.scale, "VEC3"),
    }
    first = {path: getattr(animation, path)[0].tolist() for path in tracks}
    weights = first.pop("weights")
    distance = 10 * view_half_extent
    view = {"xmag": view_half_extent, "ymag": view_half_extent, "znear": 0.01 * distance, "zfar": 2 * distance}
    names = {"targetNames": [f"expression_{k:02d}" for k in range(len(targets))]}
    samplers = [{"input": times, "output": output, "interpolation": "LINEAR"} for output in tracks.values()]
    channels = [{"sampler": number, "target": {"node": 0, "path": path}} for number, path in enumerate(tracks)]
    document = {
        "asset": {"version": "2.0", "generator": "fd2talk", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"name": "head", "mesh": 0, **first},
            {"name": "camera", "camera": 0, "translation": [0, 0, distance]},
        ],
        "cameras": [{"type": "orthographic", "orthographic": view}],
        "meshes": [{"name": name, "primitives": primitives, "weights": weights, "extras": names}],
        "materials": [_material(part) for part in parts],
        "animations": [{"name": "motion", "samplers": samplers, "channels": channels}],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    data = bytes(buffer.data)
    total = 12 + 8 + len(text) + 8 + len(data)
    header = struct.pack("<4sII", b"glTF", 2, total)
    return header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data


def _material(part: Part) -> dict[str, object]:
    surface = {"baseColorFactor": list(part.color), "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": part.name, "doubleSided": True, "pbrMetallicRoughness": surface}
