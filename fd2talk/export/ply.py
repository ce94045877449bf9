"""Stanford PLY, binary."""

from __future__ import annotations

import numpy as np


def ply_bytes(vertices: np.ndarray, triangles: np.ndarray, comment: str) -> bytes:
    """One mesh [N, 3], [F, 3] as binary little-endian PLY."""
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
