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


def test_people_have_equal_weight_and_repeats_make_the_interval():
    clips = [(0, "a", 1.0), (0, "a", 3.0), (0, "b", 5.0), (0, "c", None), (0, "c", float("nan"))]
    over_people = score_of_clips(clips)
    assert over_people["mean"] == pytest.approx(3.5) and over_people["over"] == "people" and over_people["count"] == 3
    again = score_of_clips([*clips, (1, "a", 2.0), (1, "b", 6.0)])
    assert again["over"] == "repeats" and again["mean"] == pytest.approx((3.5 + 4.0) / 2)
    assert (again["low"], again["high"]) == pytest.approx(interval([3.5, 4.0])[1:])
    assert score_of_clips([(0, "a", None)]) is None
    assert score_of_clips([(0, "a", 2.0)])["over"] is None
