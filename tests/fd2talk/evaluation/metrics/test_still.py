"""Stills of clips whose frames are grey levels, 10 times their number."""

from types import SimpleNamespace

import numpy as np

from fd2talk.evaluation.metrics.still import SIDE, still


def clip(landmarks, levels, size=200):
    frames = [np.full((size, size, 3), level, np.uint8) for level in levels]
    return SimpleNamespace(
        landmarks=landmarks, track=SimpleNamespace(landmarks=landmarks), photo=frames[0], frames=lambda: iter(frames),
        info=SimpleNamespace(height=200, width=200),
    )  # fmt: skip


def test_the_reference_decides_which_frames_are_shown():
    landmarks = np.full((9, 478, 3), 100.0)
    landmarks[:, 33, 0], landmarks[:, 263, 0] = 50, 150  # eyes
    landmarks[:, 61, 0], landmarks[:, 291, 0] = 80, 120  # corners of the mouth
    landmarks[3, 14, 1] += 20  # opens
    landmarks[7] += [8, 0, 0]  # moves
    real = clip(landmarks, range(0, 90, 10))

    def levels(picture):
        assert picture.shape[0] == SIDE and picture.shape[1] % SIDE == 0
        return [round(cell.mean()) for cell in np.split(picture, picture.shape[1] // SIDE, axis=1)]

    assert levels(still(real, None)) == [0, 30, 30, 70]
    generated = clip(landmarks[::-1], range(100, 190, 10), size=100)
    assert levels(still(generated, real)) == [130, 130, 170]
    assert levels(still(clip(landmarks, range(100, 150, 10)), real)) == [130, 130, 0]  # it ends before frame 7


def test_the_mouth_is_cut_out_at_the_size_of_the_frame():
    landmarks = np.full((1, 478, 3), 160.0)
    landmarks[:, 61, 0], landmarks[:, 291, 0] = 130, 170  # the mouth, far from the middle
    landmarks[:, :, 0][landmarks[:, :, 0] == 160] = 150
    landmarks[:, 33, 0], landmarks[:, 263, 0] = 10, 60
    reference = clip(landmarks, [0])
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[70:90, 65:85] = 200  # there at half of the size
    generated = clip(landmarks, [0])
    generated.frames = lambda: iter([frame])
    assert still(generated, reference)[:, SIDE : 2 * SIDE].mean() > 60 > 4 * frame.mean()
