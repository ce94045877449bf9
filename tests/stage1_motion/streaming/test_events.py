from types import SimpleNamespace

import numpy as np

from stage1_motion.speech_events import SpeechEventDetector, SpeechEvents
from stage1_motion.streaming.events import StreamingEvents


class Told(SpeechEventDetector):
    """Features are what it finds: speech in the first column, closed lips in the second."""

    def __init__(self):
        super().__init__({})

    def active(self, features, audio, evidence):
        return features[:, 0] > 0

    def closed_lips(self, features):
        return features[:, 1]


def streamed(active, detect=None, hop=4, ahead=4, past=30):
    events = StreamingEvents(SimpleNamespace(detect=detect or Told()))
    features = np.stack([active, np.arange(len(active))], axis=1)
    found = []
    for start in range(0, len(active) - ahead - hop + 1, hop):
        first = max(0, start - past)
        of_hop = events(features[first : start + hop + ahead], np.zeros(0), start - first, hop)
        assert len(of_hop.speaks) == hop + ahead
        np.testing.assert_array_equal(of_hop.bilabials, np.arange(start, start + hop + ahead))
        found.append(of_hop.speaks[:hop])
    return np.concatenate(found)


def test_the_mouth_rests_after_a_pause_has_lasted_and_opens_before_the_word():
    active = np.zeros(100)
    active[20:40] = 1
    speaks = streamed(active)
    np.testing.assert_array_equal(speaks[:16], 0)
    np.testing.assert_allclose(speaks[18:48], 1, atol=1e-6)  # its edge begins four frames ahead
    np.testing.assert_allclose(speaks[51:], 0, atol=1e-6)
    assert (np.diff(speaks[15:19]) > 0).all() and (np.diff(speaks[47:51]) < 0).all()


def test_short_pauses_are_bridged_and_long_ones_are_not():
    for pause, rests in ((12, False), (13, True), (25, True)):
        active = np.zeros(120)
        active[20:50] = active[50 + pause : 90] = 1
        assert (streamed(active)[25:90].min() < 0.99) == rests


def test_hops_of_one_frame_give_the_same():
    active = (np.random.default_rng(0).random(200) < 0.1).astype(float)
    np.testing.assert_allclose(streamed(active)[:180], streamed(active, hop=1)[:180])


def test_without_a_detector_its_stand_in_is_asked():
    def detect(features, audio):
        return SpeechEvents(np.ones(len(features), np.float32), features[:, 1])

    assert (streamed(np.zeros(40), detect) == 1).all()
