"""Stanford PLY, binary little-endian."""

from __future__ import annotations

import numpy as np


def ply_bytes(vertices: np.ndarray, triangles: np.ndarray, comment: str) -> bytes:
    """Encode one mesh.

    Args:
        vertices: float [N, 3].
        triangles: int [F, 3], indices of vertices.
        comment: one line of ASCII.
    """
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {comment}",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    faces = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    return "\n".join(header).encode("ascii") + vertices.astype("<f4").tobytes() + faces.tobytes()
