"""Clips that are repeated as those of other people."""

import numpy as np
from scale_face_model import repeated

from shared.face_model.training.sample import Tracks
from shared.media import FPS


def test_repeated_clips_have_the_hours_and_people_of_their_own():
    tracks = Tracks(np.array([0, 0, 2]), np.array([30, 40, 50]) * int(FPS), lambda clip: clip)
    many = repeated(tracks, 1)
    assert many.frames.sum() == 3600 * FPS and len(many.person) == 3 * 30
    assert many.person[:3].tolist() == [0, 0, 2] and len(set(many.person.tolist())) == 2 * 30
    assert [many.read(clip) for clip in (0, 1, 2, 3, 89)] == [0, 1, 2, 0, 2]
    assert len(repeated(tracks, 0.001).person) == 3
