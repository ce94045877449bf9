"""A coarser quality leaves less sharpness, in less space."""

import cv2
import numpy as np
from evaluate_encoding import encoded


def test_coarser_videos_are_smaller_and_softer():
    noise = np.random.default_rng(0).normal(128, 40, (96, 128))
    still = np.repeat(cv2.GaussianBlur(noise, (0, 0), 1)[..., None], 3, axis=2)
    frames = [np.roll(still, step, axis=1).clip(0, 255).astype(np.uint8) for step in range(12)]
    mask = np.zeros((96, 128), bool)
    mask[16:80, 16:112] = True
    fine, coarse = (encoded(frames, [mask] * 4, crf) for crf in (4, 34))
    assert 0.9 < fine[0] < 1.1 and coarse[0] < 0.8 * fine[0] and coarse[1] < 0.3 * fine[1]
