"""Means with confidence intervals."""

import numpy as np
import pytest
from scipy import stats

from fd2talk.evaluation.report.statistics import interval, score_of_clips


def test_an_interval_is_student_s():
    values = [9.1, 9.4, 9.6, 9.2, 9.5]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx((np.mean(values), low, high))
    assert interval([3.0]) == (3.0, None, None)


def test_clips_may_be_pooled_by_their_frames():
    clips, frames = [(0, "a", 1.0), (0, "a", 3.0), (0, "b", 5.0), (0, "b", None)], [10, 30, 20, 40]
    by_frame = [1.0] * 10 + [3.0] * 30 + [5.0] * 20
    pooled = score_of_clips(clips, frames)
    assert pooled["mean"] == pytest.approx(sum(by_frame) / 60) and (pooled["over"], pooled["count"]) == ("people", 3)
    # Linearised ratio of sums over people: weights 40 and 20, means 2.5 and 5.
    middle = (40 * 2.5 + 20 * 5.0) / 60
    variance = 2 / 1 * sum((w * (m - middle)) ** 2 for w, m in ((40, 2.5), (20, 5.0))) / 60**2
    assert pooled["high"] - middle == pytest.approx(stats.t.ppf(0.975, 1) * variance**0.5)
    again = score_of_clips([*clips, (1, "a", 2.0), (1, "b", 6.0)], [*frames, 10, 30])
    assert again["mean"] == pytest.approx((middle + 5.0) / 2) and again["over"] == "repeats"


def test_people_have_equal_weight_and_repeats_make_the_interval():
    clips = [(0, "a", 1.0), (0, "a", 3.0), (0, "b", 5.0), (0, "c", None), (0, "c", float("nan"))]
    over_people = score_of_clips(clips)
    assert over_people["mean"] == pytest.approx(3.5) and over_people["over"] == "people" and over_people["count"] == 3
    again = score_of_clips([*clips, (1, "a", 2.0), (1, "b", 6.0)])
    assert again["over"] == "repeats" and again["mean"] == pytest.approx((3.5 + 4.0) / 2)
    assert (again["low"], again["high"]) == pytest.approx(interval([3.5, 4.0])[1:])
    assert score_of_clips([(0, "a", None)]) is None
    assert score_of_clips([(0, "a", 2.0)])["over"] is None
