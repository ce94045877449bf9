import numpy as np
from portraits import portrait

from stage2_render.training.pair_rows import feature_boxes


def test_boxes_frame_lips_and_eyes():
    mesh = portrait("portrait_woman", 256)[1][:, :2]
    mouth, right, left = feature_boxes(mesh)
    for box, inside in ((mouth, [13, 14, 61, 291, 0, 17]), (right, [33, 133, 159, 145]), (left, [263, 362, 386, 374])):
        assert (mesh[inside] > box[:2]).all() and (mesh[inside] < box[2:]).all()
    np.testing.assert_allclose(mouth[2] - mouth[0], 1.5 * np.ptp(mesh[[61, 291], 0]), rtol=0.1)
    assert right[2] < left[0]
