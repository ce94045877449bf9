import numpy as np

from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from stage1_motion.postprocessing.smile import smile


def test_corners_rise_and_widen_and_the_mouth_stays_shut():
    model = load_bundled()
    moved = np.tensordot(smile(model), model.exp_basis, 1)
    right, left = moved[61], moved[291]
    assert np.linalg.norm(right) > 0.95 and np.linalg.norm(left) > 0.95
    assert right[1] > 0.5 and left[1] > 0.5  # up
    assert right[0] < -0.5 and left[0] > 0.5  # outwards, x to the person's left
    upper, lower = (191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324)
    assert np.abs(moved[list(upper), 1] - moved[list(lower), 1]).max() < 0.02
    assert abs(lip_gap(moved)) < 0.01 and abs(lid_gap(moved)) < 0.02
    assert np.abs(moved[model.groups["upper_face"]]).max() < 0.05 and np.abs(moved[152]).max() < 0.1
