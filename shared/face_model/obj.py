"""Reading and writing of meshes as Wavefront OBJ."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import InputError


def read_vertices(path: str | Path) -> np.ndarray:
    """Read the vertices float32 [N, 3] of an OBJ file.

    Raises:
        InputError: the file cannot be read or has no vertices.
    """
    return _vertices(path, _lines(path))


def read_obj(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read vertices float32 [N, 3] and triangles int32 [F, 3] (polygons as fans) of an OBJ file.

    Raises:
        InputError: the file cannot be read, has no vertices or faces, or a face refers to a missing vertex.
    """
    lines = _lines(path)
    vertices = _vertices(path, lines)
    faces: list[tuple[int, int, int]] = []
    try:
        for line in lines:
            if line.startswith("f "):
                corners = [int(corner.split("/")[0]) for corner in line.split()[1:]]
                corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
                faces += [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:])]
    except ValueError:
        raise InputError(f"{path}: a broken face ({line.strip()})") from None
    if not faces:
        raise InputError(f"{path}: an OBJ file without faces")
    triangles = np.array(faces, np.int32)
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise InputError(f"{path}: a face refers to a missing vertex")
    return vertices, triangles


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not an OBJ file ({error})") from None


def _vertices(path: str | Path, lines: list[str]) -> np.ndarray:
    try:
        vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float32)
    except ValueError:
        raise InputError(f"{path}: a broken vertex") from None
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"{path}: an OBJ file without vertices")
    return vertices
