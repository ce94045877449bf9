import cv2
import numpy as np

from shared.face_model.measures import lip_gap
from shared.face_model.mediapipe_mesh import INNER_LIPS
from stage2_render.editing.footage import FrameReader
from stage2_render.editing.mouth_reference import MouthReference, most_teeth


def test_the_frame_with_most_teeth_is_the_reference(footage, talking):
    """White teeth in one open mouth, and in one that hardly opens."""
    _, motion, frames = talking
    gaps = lip_gap(footage.model.vertices(motion.identity, motion.expression))
    wide, narrow = np.argsort(gaps)[-4], np.argsort(gaps)[3]
    painted = [frame.copy() for frame in frames]
    for index in (wide, narrow):
        outline = np.rint(footage.track.landmarks[index, list(INNER_LIPS), :2]).astype(np.int32)
        cv2.fillPoly(painted[index], [outline], (250, 250, 240))
    footage.video = lambda: iter(painted)
    everywhere = np.ones(len(footage), bool)
    assert most_teeth(footage, FrameReader(footage.video), everywhere) == wide
    assert most_teeth(footage, FrameReader(footage.video), np.arange(len(footage)) > wide) != wide
    footage.motion.expression = np.repeat(motion.expression[[np.argmin(gaps)]], len(footage), axis=0)
    assert most_teeth(footage, FrameReader(footage.video), everywhere) is None


def test_only_the_inside_of_the_mouth_is_painted_in_the_light_of_the_frame(footage, talking):
    _, motion, frames = talking
    gaps = lip_gap(footage.model.vertices(motion.identity, motion.expression))
    wide = int(np.argmax(gaps))
    points = footage.track.landmarks[wide]
    bright = frames[wide].copy()
    outline = np.rint(points[list(INNER_LIPS), :2]).astype(np.int32)
    inside = cv2.fillPoly(np.zeros(bright.shape[:2], np.uint8), [outline], 1).astype(bool)
    bright[inside] = (200, 200, 200)
    reference = MouthReference(wide, footage.photo(wide, bright), None)
    dim = footage.photo(wide, (0.8 * frames[wide]).astype(np.uint8))
    frame = dim.image.copy()
    reference.lay(frame, points, points, dim, 1.0)
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert core.sum() > 20 and np.abs(np.median(frame[core], axis=0) - 160).max() < 12
    around = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert (frame[~around] == dim.image[~around]).all()
    half = dim.image.copy()
    reference.lay(half, points, points, dim, 0.5)
    np.testing.assert_allclose(half[core], (frame[core].astype(float) + dim.image[core]) / 2, atol=1)
