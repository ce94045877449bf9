"""What the changes do to speech events, and figures of lips that are known."""

import numpy as np
import pytest
from evaluate_rules import Curves, cells, changed_events, settled_at_the_end_alone, settled_nowhere, shut_for_a_frame

from stage1_motion.speech_events import SpeechEvents


def events():
    settled = np.array([1, 1, 0.5, 0, 0, 0, 0.5, 1], np.float32)
    return SpeechEvents(np.ones(8, np.float32), np.array([0, 0.3, 0.7, 1, 0.7, 0.3, 0, 1], np.float32), settled)


def test_single_rules_are_taken_out_of_the_events():
    given = events()
    assert settled_at_the_end_alone(given).settled.tolist() == [0, 0, 0, 0, 0, 0, 0.5, 1]
    assert settled_nowhere(given).articulates.tolist() == [1] * 8
    assert shut_for_a_frame(given).bilabials.tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert np.array_equal(given.settled, events().settled), "what was given stays as it is"


def test_the_pipeline_hears_them_meanwhile():
    class Frontend:
        detect = staticmethod(lambda features, audio: events())

    class Pipeline:
        frontend = Frontend()

    with changed_events(Pipeline, settled_nowhere):
        assert Pipeline.frontend.detect(None, None).settled is None
    assert Pipeline.frontend.detect(None, None).settled is not None


def test_figures_of_lips_that_follow_at_half_the_size():
    filmed = np.sin(np.arange(100) / 3) + 2
    silence = np.arange(100) < 5
    half = Curves(filmed, [filmed / 2], silence)
    r, spread, speed, before, opening = cells([half])
    assert (r, spread, speed) == ("1.000", "0.50", "0.50") and before == f"{filmed[:5].mean() / 2:.3f} (1)"
    assert float(opening) == pytest.approx(np.percentile(np.diff(filmed) / filmed.std(), 99), abs=0.01)
    assert cells([Curves(filmed, [filmed], np.zeros(100, bool))])[3] == ""
    assert float(cells([Curves(filmed, [filmed[::-1]], silence)])[0]) < 0.9
