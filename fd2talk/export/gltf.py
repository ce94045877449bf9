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
    """Triangles [F, 3] that share a material: its name and colour (red, green, blue, alpha, linear)."""

    name: str
    triangles: np.ndarray
    color: tuple[float, float, float, float]


@dataclass(frozen=True)
class Animation:
    """Keyframes at `times` [T] s: weights [T, D], rotation [T, 4] (x, y, z, w), translation [T, 3], scale [T, 3]."""

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
        """Append an array ([n] or [n, c]) and return its accessor's index. All elements are four bytes long, so
        everything stays aligned."""
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
    """[..., N, 3] unit normals, the area-weighted mean of the faces around; (0, 0, 1) where there are none."""
    a, b, c = (vertices[..., triangles[:, k], :] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    flat, flat_faces = normals.reshape(-1, *vertices.shape[-2:]), faces.reshape(-1, *faces.shape[-2:])
    for target, source in zip(flat, flat_faces):
        for k in range(3):
            np.add.at(target, triangles[:, k], source)
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
    """A GLB file of one animated face.

    neutral: [N, 3] metres (x right, y up, z to the viewer, which is glTF's convention too). targets: [D, N, 3],
    displacement of unit weight. An orthographic camera sees the square of +-`view_half_extent` metres.
    extras: what the asset says of itself.
    """
    triangles = np.concatenate([part.triangles for part in parts])
    normals = vertex_normals(neutral, triangles)
    buffer = _Buffer()
    attributes = {
        "POSITION": buffer.add(neutral, "VEC3", target=_ARRAY_BUFFER, bounds=True),
        "NORMAL": buffer.add(normals, "VEC3", target=_ARRAY_BUFFER),
    }
    morphs = [
        {
            "POSITION": buffer.add(target, "VEC3", target=_ARRAY_BUFFER, bounds=True),
            "NORMAL": buffer.add(vertex_normals(neutral + target, triangles) - normals, "VEC3", target=_ARRAY_BUFFER),
        }
        for target in targets
    ]
    primitives = [
        {
            "attributes": attributes,
            "indices": buffer.add(part.triangles.ravel(), "SCALAR", target=_INDEX_BUFFER),
            "material": number,
            "targets": morphs,
        }
        for number, part in enumerate(parts)
    ]
    times = buffer.add(animation.times, "SCALAR", bounds=True)
    tracks = {
        "weights": buffer.add(animation.weights.ravel(), "SCALAR"),
        "rotation": buffer.add(animation.rotation, "VEC4"),
        "translation": buffer.add(animation.translation, "VEC3"),
        "scale": buffer.add(animation.scale, "VEC3"),
    }
    distance = 10 * view_half_extent
    document = {
        "asset": {"version": "2.0", "generator": "fd2talk", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {
                "name": "head",
                "mesh": 0,
                "rotation": animation.rotation[0].tolist(),
                "translation": animation.translation[0].tolist(),
                "scale": animation.scale[0].tolist(),
            },
            {"name": "camera", "camera": 0, "translation": [0, 0, distance]},
        ],
        "cameras": [
            {
                "type": "orthographic",
                "orthographic": {
                    "xmag": view_half_extent,
                    "ymag": view_half_extent,
                    "znear": 0.01 * distance,
                    "zfar": 2 * distance,
                },
            }
        ],
        "meshes": [
            {
                "name": name,
                "primitives": primitives,
                "weights": animation.weights[0].tolist(),
                "extras": {"targetNames": [f"expression_{k:02d}" for k in range(len(targets))]},
            }
        ],
        "materials": [
            {
                "name": part.name,
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(part.color),
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                },
            }
            for part in parts
        ],
        "animations": [
            {
                "name": "motion",
                "samplers": [
                    {"input": times, "output": output, "interpolation": "LINEAR"} for output in tracks.values()
                ],
                "channels": [
                    {"sampler": number, "target": {"node": 0, "path": path}} for number, path in enumerate(tracks)
                ],
            }
        ],
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
