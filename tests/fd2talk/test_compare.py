import numpy as np

from fd2talk.compare import side_by_side


def test_a_short_clip_keeps_its_last_frame():
    long, short = ((np.full((40, 60, 3), value, np.uint8) for value in values) for values in ([1, 2, 3], [9, 8]))
    shown = [frame[32:, 60:].max() for frame in side_by_side({"long": long, "short": short})]
    assert shown == [9, 8, 8]
