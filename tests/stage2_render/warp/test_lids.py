"""Closing lids, in photos with eye make-up."""

import covered
import numpy as np
import pytest
from portraits import portrait

from shared.face_model.mediapipe_mesh import LEFT_EYE, RIGHT_EYE
from shared.faces.crop import Crop
from stage2_render.warp.mesh_warp import MeshWarp


def shut(vertices):
    """The lids closed, the mesh otherwise as it is."""
    target = vertices.copy()
    for ring in (RIGHT_EYE, LEFT_EYE):
        target[list(ring[1:8])] = target[list(ring[:8:-1])]
    return target


def lid_light(frame, points):
    """Luminance between fold and rim, in the middle of both lids."""
    places = [0.6 * points[rim, :2] + 0.4 * points[fold, :2] for rim, fold in ((159, 27), (386, 257))]
    return np.mean([frame[int(y) - 1 : int(y) + 2, int(x) - 6 : int(x) + 7].mean() for x, y in places])


@pytest.mark.situation(
    "Faces", "strong eye make-up, long lashes", "closed lids have the lid's colour, and a line of lashes"
)
@pytest.mark.parametrize("name", ["portrait_woman", "portrait_woman_2"])
def test_make_up_is_not_stretched_over_closed_lids(name):
    photo, vertices = portrait(name)
    made_up, target = covered.eye_make_up(photo, vertices), shut(vertices)
    crop = Crop.around(vertices)
    skin = np.mean([photo[int(y), int(x)].mean() for x, y in vertices[[28, 258], :2]])
    plain, painted = (lid_light(MeshWarp(image, vertices, crop)(target), target) for image in (photo, made_up))
    assert painted > 0.75 * plain and painted > 0.65 * skin
    frame = MeshWarp(made_up, vertices, crop)(target)
    lashes = [frame[int(y) - 2 : int(y) + 4, int(x)].mean(1).min() for x, y in target[[159, 386], :2]]
    assert np.mean(lashes) < 0.6 * painted


def test_open_lids_stay_as_they_are_in_the_photo():
    photo, vertices = portrait()
    frame = MeshWarp(photo, vertices, Crop.around(vertices))(vertices)
    assert np.abs(frame.astype(int) - photo).max() <= 1
