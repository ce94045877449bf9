import numpy as np
import pytest

from fd2talk.export.gaze import EYEBALL_MM, eye_angles
from shared.face_model.measures import gaze
from shared.motion import Motion


@pytest.mark.parametrize(("axis", "amount"), [(0, 3.0), (0, -2.0), (1, 2.0)])
def test_eyes_turn_where_the_iris_goes(model, axis, amount):
    """`gaze` of the model: the expression that moves both irises by 1 mm, to the person's left or up."""
    size = amount * np.r_[np.zeros(20), np.ones(5)]
    expression = np.outer(size, model.extra["gaze"][axis])
    opening = np.outer(size != 0, model.extra["open"])  # the frames at rest are those with closed lips
    pose = np.zeros((25, 3))
    angles = eye_angles(Motion(expression + opening, pose, pose, model.fingerprint))
    np.testing.assert_allclose(angles[:20], 0, atol=1e-6)
    moved = (gaze(model.vertices(np.zeros(model.num_identity), expression[-1])) - gaze(model.mean))[axis]
    assert np.sign(moved) == np.sign(amount) and abs(moved) > 0.5
    both = angles[-1, :, axis]
    assert both.mean() == pytest.approx(np.arcsin(moved / EYEBALL_MM), abs=0.05)
    assert (np.sign(both) == np.sign(amount)).all()
