"""The convention of face models, for tests of foreign ones."""

import numpy as np
import pytest

from shared.face_model import MorphableModel
from shared.face_model.morphable import GROUPS

# The vertices of the bundled mesh that lie where the 68 landmarks do: it lends the made-up models their face.
MESH_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


def check_convention(model: MorphableModel, landmarks: np.ndarray) -> None:
    right, left = model.mean[landmarks[36]], model.mean[landmarks[45]]
    np.testing.assert_allclose((left + right) / 2, 0, atol=1e-3)
    assert np.linalg.norm(left - right) == pytest.approx(90, abs=1e-2)
    assert left[0] > 0 and model.mean[landmarks[8], 1] < 0 and model.mean[landmarks[30], 2] > left[2]
    assert set(model.groups) == set(GROUPS)
    for name, members in model.groups.items():
        assert len(members) and members.dtype == np.int32 and members.max() < model.num_vertices, name
    assert set(landmarks[48:68]) <= set(model.groups["lips"])
    assert set(landmarks[60:68]) <= set(model.groups["inner_lips"]) <= set(model.groups["mouth"])
    assert set(landmarks[36:48]) <= set(model.groups["eyes"]) <= set(model.groups["upper_face"])
    assert landmarks[8] in model.groups["jaw"] and landmarks[8] in model.groups["contour"]
    assert not set(model.groups["lips"]) & set(model.groups["eyes"])
    assert set(model.groups["rigid"]).isdisjoint(model.groups["mouth"])
