"""Sharpness by part of the face, on the demo portrait."""

import cv2
import numpy as np
from evaluate_sharpness import PARTS, part_masks, ratio


def test_sharpness_is_measured_within_the_part(photo):
    masks = part_masks(photo.landmarks, photo.image.shape[:2])
    inside = {name: masks[name].mean() for name in PARTS}
    assert all(0.002 < share < 0.2 for share in inside.values()), inside
    assert not (masks["skin"] & (masks["eyes"] | masks["lips"] | masks["hair"])).any()
    rows = np.nonzero(masks["hair"])[0]
    assert rows.max() < photo.landmarks[[33, 263], 1].mean() + 20
    same = ratio(photo, photo.image, photo.landmarks)
    assert all(value == 1 for value in same.values())
    blurred = ratio(photo, cv2.GaussianBlur(photo.image, (0, 0), 1.5), photo.landmarks)
    assert all(value < 0.6 for value in blurred.values())
    shut = photo.landmarks.copy()
    for upper, lower in ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)):
        shut[upper] = shut[lower]
    assert np.isnan(ratio(photo, photo.image, shut)["eyes"])
