"""Frames of the sheet of animated pictures."""

import numpy as np
from evaluate_pictures import choose
from scipy.spatial.transform import Rotation

from shared.face_model.measures import lip_aperture


def test_frames_of_the_sheet_are_the_hardest(photo, still):
    motion = still(10)
    jaw = np.argmax(np.abs(lip_aperture(photo.vertices(photo.expression + 2 * np.eye(len(photo.expression))))))
    motion.expression[3, jaw] += 2
    motion.rotation[7, 0] += 0.1
    chosen = choose(photo, motion)
    apertures = lip_aperture(photo.vertices(chosen.expression))
    assert len(chosen) == 6 and np.allclose(apertures[:3], apertures.max()) and apertures[3] < apertures[0]
    own = Rotation.from_rotvec(photo.rotation)
    turns = np.degrees((Rotation.from_rotvec(chosen.rotation) * own.inv()).magnitude())
    np.testing.assert_allclose(turns[:3], [0, 15, 15], atol=0.1)
    assert turns[4] == turns[3:].max() > 5
