"""Where somebody speaks and where lips must close."""

import numpy as np
import pytest

from shared.errors import InputError
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
