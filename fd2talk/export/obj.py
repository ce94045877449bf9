"""Wavefront OBJ, text; `shared.face_model.obj` reads it."""

from __future__ import annotations

import numpy as np


def obj_bytes(vertices: np.ndarray, triangles: np.ndarray, comment: str) -> bytes:
    """Encode one mesh.

    Args:
        vertices: float [N, 3].
        triangles: int [F, 3], indices of vertices.
        comment: one line of ASCII.
    """
    lines = [f"# {comment}"]
    lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()
