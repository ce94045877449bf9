"""Where somebody speaks and where lips must close."""

import numpy as np
import pytest

from shared.errors import InputError
from stage1_motion.interface import Speech
from stage1_motion.speech_events import Probe, SpeechEventDetector, with_neighbours
from stage1_motion.speech_events_training import fit


def test_speech_events_learn_rest_and_close(tmp_path):
    rng = np.random.default_rng(0)
    speaks = np.repeat(rng.integers(0, 2, 60), 20).astype(np.float32)
    features = rng.normal(0, 1, (1200, 6)).astype(np.float32)
    features[:, 2] += 4 * speaks
    probe = fit(with_neighbours(features), speaks)
    assert ((probe(features) > 0) == (speaks > 0)).mean() > 0.95
    lips = Probe(np.eye(18, dtype=np.float32)[6 + 4] * 10, -5.0)
    speech_events = SpeechEventDetector({"speaks": probe, "bilabial": lips, "closed": lips})
    speech_events.save(tmp_path / "v.safetensors")
    again = SpeechEventDetector.load(tmp_path / "v.safetensors")
    assert np.allclose(again.probes["speaks"](features), probe(features), atol=1e-4)
    # Ten seconds: quiet, two seconds of speech with a b in the middle, quiet; a cough of one frame does not count.
    spoken = np.zeros(250)
    spoken[100:150] = 1
    spoken[30] = 1
    features = np.zeros((250, 6), np.float32)
    features[:, 2] = 8 * spoken - 2
    features[124:126, 4] = 1
    events = again(features, np.ones(160000, np.float32) * 0.1)
    activity = events.speaks
    assert activity[105:145].min() == 1.0 and activity[:90].max() == 0.0 and activity[165:].max() == 0.0
    assert activity[97] > 0.3 and np.abs(np.diff(activity)).max() < 0.4
    # Lips close and part within three frames, as filmed ones do, not in one.
    np.testing.assert_allclose(events.bilabials[120:130], [0, 0, 0.3, 0.7, 1, 1, 0.7, 0.3, 0, 0], atol=1e-6)
    assert events.bilabials[:122].max() == events.bilabials[128:].max() == 0
    assert again(features, np.zeros(160000, np.float32)).speaks.max() == 0.0
    with pytest.raises(InputError, match="should hold the weights of a speech event detector"):
        SpeechEventDetector.load(tmp_path / "nothing.safetensors")


def events_of(*runs):
    """Events of runs (frames, whether somebody speaks), by a detector that reads them off the first feature."""
    spoken = np.concatenate([np.full(length, float(speaks)) for length, speaks in runs])
    never = Probe(np.zeros(3, np.float32), -9.0)
    detector = SpeechEventDetector(
        {"speaks": Probe(np.array([0, 1, 0], np.float32), -0.5), "bilabial": never, "closed": never}
    )
    return detector(spoken[:, None].astype(np.float32), np.ones(640 * len(spoken), np.float32))


@pytest.mark.parametrize("silence", [4, 8, 12, 19, 25])
def test_the_mouth_closes_in_the_silence_at_the_end_whatever_its_length(silence):
    events = events_of((60, True), (silence, False))
    found = events.articulates
    assert (found[10:60] == 1).all() and found[-1] == 0
    steps = np.diff(found[59:])
    assert (steps <= 0).all() and steps.min() > -0.5  # no snap, even in four frames
    if silence < 20:  # too short to count as a pause: features are normalised as before
        assert (events.speaks[10:] == 1).all()
    if silence > 12:  # not earlier than after a long silence
        long = events_of((60, True), (60, False)).articulates[60 : 60 + silence]
        assert np.abs(long - found[60:]).max() < 0.2


@pytest.mark.parametrize("silence", [4, 8, 12, 19])
def test_the_mouth_stays_closed_in_a_short_silence_before_the_first_word(silence):
    found = events_of((silence, False), (60, True)).articulates
    assert found[0] == 0 and (found[silence:50] == 1).all()
    steps = np.diff(found[: silence + 1])
    assert (steps >= 0).all() and steps.max() < 0.5
    if silence > 12:  # as late as after a long silence
        long = events_of((60, False), (60, True)).articulates[60 - silence : 60]
        assert np.abs(long - found[:silence]).max() < 0.2
        assert found[: silence - 8].max() == 0


def test_speech_to_the_end_and_pauses_within_leave_the_mouth_to_the_model():
    runs_of = ((50, True),), ((50, True), (3, False)), ((3, False), (50, True)), ((40, True), (12, False), (40, True))
    for runs in runs_of:
        assert (events_of(*runs).articulates[10:] == 1).all(), runs
    assert events_of((30, False)).articulates.max() == 0


def test_at_another_rate_the_mouth_closes_at_the_same_time():
    events = events_of((60, True), (12, False))
    speech = Speech(np.zeros((72, 1), np.float32), events, np.zeros(72 * 640, np.float32)).at(30)
    assert np.allclose(speech.events.articulates[::6], events.articulates[::5][: len(speech.events.articulates[::6])])
