"""glTF 2.0 binary: a tree of nodes, meshes with morph targets and textures, and one animation."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

_FLOAT, _UINT = 5126, 5125
_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963
_LINEAR, _LINEAR_MIPMAP, _CLAMP = 9729, 9987, 33071
_KINDS = {"weights": "SCALAR", "rotation": "VEC4", "translation": "VEC3", "scale": "VEC3"}
_UNLIT = "KHR_materials_unlit"


@dataclass(frozen=True)
class Material:
    """What a surface looks like.

    Args:
        name: of the material.
        color: red, green, blue, alpha, linear, in [0, 1]; a factor of the texture if there is one.
        texture: a JPEG file, or None.
        unlit: shown as it is, without lamps: for photographs, which hold their own light.
    """

    name: str
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: bytes | None = None
    unlit: bool = False


@dataclass(frozen=True)
class Mesh:
    """A mesh with morph targets.

    Args:
        name: of the mesh.
        vertices: [N, 3], metres (x right, y up, z towards the viewer, as in glTF).
        parts: triangles, int [F, 3], of each material.
        uv: [N, 2] in [0, 1], from the upper left corner of the texture; needed by materials that have one.
        targets: displacements [N, 3] in metres for a weight of 1, by name.
    """

    name: str
    vertices: np.ndarray
    parts: tuple[tuple[np.ndarray, Material], ...]
    uv: np.ndarray | None = None
    targets: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A node of the scene.

    Args:
        name: of the node.
        mesh: at this node, or None.
        translation: in the parent, metres.
        tracks: keyframes by path: rotation [T, 4] (quaternions x, y, z, w), translation and scale [T, 3], weights
            [T, K] of the mesh's targets.
        children: nodes that move with this one.
        camera: half of the side, in metres, of the square that an orthographic camera at this node shows, or None.
        at_rest: whether the node's own transform, without the animation, is a rest pose and not the first keyframe.
    """

    name: str
    mesh: Mesh | None = None
    translation: np.ndarray | None = None
    tracks: dict[str, np.ndarray] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    camera: float | None = None
    at_rest: bool = False

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


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

    def add_file(self, content: bytes) -> int:
        """Append a file and return the index of its view."""
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content + bytes(-len(content) % 4)
        return len(self.views) - 1


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
    corners, count = triangles.T.ravel(), len(vertices)
    normals = np.stack([np.bincount(corners, np.tile(axis, 3), count) for axis in faces.T], axis=1)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(length > 1e-9, normals / np.maximum(length, 1e-9), [0.0, 0.0, 1.0]).astype(np.float32)


def glb_bytes(roots: list[Node], times: np.ndarray, extras: dict, extensions: dict[str, dict] | None = None) -> bytes:
    """Encode a scene as GLB.

    Args:
        roots: its nodes.
        times: [T], seconds of the keyframes.
        extras: metadata of the asset.
        extensions: of the whole document, by name; they count nodes as `Node.walk` yields them, root after root.
    """
    return _Encoder().encode(roots, times, extras, extensions or {})


class _Encoder:
    """Collects the parts of the document."""

    def __init__(self) -> None:
        self._buffer = _Buffer()
        self._materials: list[Material] = []
        self._lists: dict[str, list] = {"nodes": [], "meshes": [], "cameras": []}

    def encode(self, roots: list[Node], times: np.ndarray, extras: dict, extensions: dict[str, dict]) -> bytes:
        order = [node for root in roots for node in root.walk()]
        number = {id(node): index for index, node in enumerate(order)}
        for node in order:
            self._lists["nodes"].append(self._node(node, [number[id(child)] for child in node.children]))
        keys = self._buffer.add(times, "SCALAR", bounds=True)
        samplers: list[dict] = []
        channels: list[dict] = []
        for index, node in enumerate(order):
            for path, values in node.tracks.items():
                output = self._buffer.add(values.ravel() if path == "weights" else values, _KINDS[path])
                channels.append({"sampler": len(samplers), "target": {"node": index, "path": path}})
                samplers.append({"input": keys, "output": output, "interpolation": "LINEAR"})
        document = {
            "asset": {"version": "2.0", "generator": "fd2talk", "extras": extras},
            "scene": 0,
            "scenes": [{"nodes": [number[id(root)] for root in roots]}],
            **self._lists,
            **self._surfaces(),
            "animations": [{"name": "motion", "samplers": samplers, "channels": channels}],
            "accessors": self._buffer.accessors,
            "bufferViews": self._buffer.views,
            "buffers": [{"byteLength": len(self._buffer.data)}],
            "extensionsUsed": [*extensions, *([_UNLIT] if any(material.unlit for material in self._materials) else [])],
            "extensions": extensions,
        }
        # The format has no empty lists.
        return _pack({name: part for name, part in document.items() if part not in ([], {})}, bytes(self._buffer.data))

    def _node(self, node: Node, children: list[int]) -> dict:
        result: dict = {"name": node.name} | ({"children": children} if children else {})
        if node.translation is not None:
            result["translation"] = np.asarray(node.translation, np.float64).tolist()
        if not node.at_rest:
            result |= {path: values[0].tolist() for path, values in node.tracks.items() if path != "weights"}
        if node.mesh is not None:
            weights = node.tracks.get("weights")
            result["mesh"] = self._mesh(node.mesh, None if weights is None else weights[0])
        if (half := node.camera) is not None:
            view = {"xmag": half, "ymag": half, "znear": 0.1 * half, "zfar": 20 * half}
            result["camera"] = len(self._lists["cameras"])
            self._lists["cameras"].append({"type": "orthographic", "orthographic": view})
        return result

    def _mesh(self, mesh: Mesh, weights: np.ndarray | None) -> int:
        add = self._buffer.add
        triangles = np.concatenate([part for part, _ in mesh.parts])
        normals = vertex_normals(mesh.vertices, triangles)

        def shape(positions: np.ndarray, normals: np.ndarray) -> dict[str, int]:
            position = add(positions, "VEC3", target=_ARRAY_BUFFER, bounds=True)
            return {"POSITION": position, "NORMAL": add(normals, "VEC3", target=_ARRAY_BUFFER)}

        attributes = shape(mesh.vertices, normals)
        moved = {name: vertex_normals(mesh.vertices + target, triangles) for name, target in mesh.targets.items()}
        morphs = [shape(target, moved[name] - normals) for name, target in mesh.targets.items()]
        textured = attributes
        if mesh.uv is not None:
            textured = attributes | {"TEXCOORD_0": add(mesh.uv, "VEC2", target=_ARRAY_BUFFER)}
        primitives = []
        for part, material in mesh.parts:
            if material not in self._materials:
                self._materials.append(material)
            primitive: dict = {
                "attributes": textured if material.texture else attributes,
                "indices": add(part.ravel(), "SCALAR", target=_INDEX_BUFFER),
                "material": self._materials.index(material),
            }
            primitives.append(primitive | ({"targets": morphs} if morphs else {}))
        result: dict = {"name": mesh.name, "primitives": primitives}
        if morphs:
            first = np.zeros(len(morphs)) if weights is None else weights
            result |= {"weights": first.tolist(), "extras": {"targetNames": list(mesh.targets)}}
        self._lists["meshes"].append(result)
        return len(self._lists["meshes"]) - 1

    def _surfaces(self) -> dict:
        materials: list[dict] = []
        images: list[dict] = []
        for material in self._materials:
            surface: dict = {"baseColorFactor": list(material.color), "metallicFactor": 0.0, "roughnessFactor": 0.8}
            if material.texture:
                surface["baseColorTexture"] = {"index": len(images)}
                images.append({"mimeType": "image/jpeg", "bufferView": self._buffer.add_file(material.texture)})
            described = {"name": material.name, "doubleSided": True, "pbrMetallicRoughness": surface}
            materials.append(described | ({"extensions": {_UNLIT: {}}} if material.unlit else {}))
        result: dict = {"materials": materials}
        if images:
            wrap = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP, "wrapS": _CLAMP, "wrapT": _CLAMP}
            textures = [{"source": index, "sampler": 0} for index in range(len(images))]
            result |= {"images": images, "textures": textures, "samplers": [wrap]}
        return result


def _pack(document: dict, data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    header = struct.pack("<4sII", b"glTF", 2, total)
    return header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
