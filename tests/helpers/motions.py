"""Meshes of the demo portraits in motion, by what moves."""

import numpy as np
from portraits import opened, turned

from shared.face_model.mediapipe_mesh import LEFT_EYE, RIGHT_EYE


def eyes_closed(vertices: np.ndarray, share: float) -> np.ndarray:
    """Upper lids moved down by this share of the way to the lower ones."""
    out = vertices.copy()
    for ring in map(list, (RIGHT_EYE, LEFT_EYE)):
        half = len(ring) // 2
        upper, lower = ring[1:half], ring[:half:-1]
        out[upper, :2] += share * (vertices[lower, :2] - vertices[upper, :2])
    return out


def motions(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """The mesh at rest, with an open mouth, turned, with lids half and wholly closed, nearer, and looking aside."""
    center, gaze = vertices.mean(0), vertices.copy()
    gaze[468:, :2] += np.array([0.02, 0.012]) * np.ptp(vertices[:468, 0])
    return {
        "rest": vertices,
        "open": opened(turned(vertices, 4, 3), 0.15),
        "turned": turned(vertices, 15, -4),
        "half": eyes_closed(turned(opened(vertices, 0.03), -8), 0.6),
        "closed": eyes_closed(vertices, 1.0),
        "gaze": gaze,
        "nearer": ((vertices - center) * 1.06 + center + [9, -6, 0]).astype(np.float32),
    }


def assert_close(frame: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Two frames of the same mesh by different renderers: within 1 grey level but for few pixels, at binary edges."""
    apart = np.abs(frame.astype(int) - expected)
    worst = apart.max(2)
    assert apart.mean() < 0.05 and np.percentile(apart, 99.9) <= 1, what
    assert (worst > 1).mean() < 2e-3 and (worst > 4).mean() < 2e-4 and worst.max() <= 24, what
