"""Frames that are chosen from a clip."""

import numpy as np
import pytest

from fd2talk.evaluation.inputs.clip_reader import choose_frames, pick
from shared.errors import InputError
from shared.faces.crop import Crop
from shared.tracking import Track


def track(confidence):
    return Track(np.zeros((len(confidence), 478, 3), np.float32), np.array(confidence, np.float32), Crop(0, 0, 1))


def test_chosen_frames_are_evenly_spaced_show_a_face_and_do_not_resemble_the_photo():
    assert choose_frames(track([1] * 26), 5).tolist() == [5, 10, 15, 20, 25]
    confidence = [1] * 26
    confidence[5] = confidence[25] = 0
    assert choose_frames(track(confidence), 2).tolist() == [6, 24]
    with pytest.raises(InputError, match="only 2 frames after the first 5 show a face, not 3"):
        choose_frames(track([1] * 7), 3)
    with pytest.raises(InputError, match="the photo, shows no face"):
        choose_frames(track([0] + [1] * 20), 3)


def test_frames_are_picked_without_reading_further():
    read = []
    picked = pick((read.append(i) or i for i in range(100)), [7, 3])
    assert list(picked) == [3, 7] and read == list(range(8))
