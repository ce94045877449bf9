"""Phone accuracy and lip ridge on features of known content."""

import numpy as np
from synthetic_recordings import made_up_recordings

from shared.speech.training.evaluate import LipRidge, foreign, phone_accuracy
from shared.speech.training.recordings import PHONES


def test_phone_accuracy_and_ridge_find_what_is_there():
    recordings = made_up_recordings()
    told = {r.audio.tobytes(): np.eye(len(PHONES))[r.phones[::4]] for r in recordings}

    def oracle(audio):
        return told[(audio * 32768).astype(np.int16).tobytes()].astype(np.float32)

    assert phone_accuracy(oracle, recordings[:12], recordings[12:]) == 100
    assert 30 < phone_accuracy(lambda a: np.zeros((80, 1), np.float32), recordings[:12], recordings[12:]) < 70

    generator = np.random.default_rng(1)
    clips = []
    for index in range(12):
        features = generator.standard_normal((100, 4)).astype("f4")
        aperture = np.roll(features[:, 0], 3) + 0.2 * generator.standard_normal(100)
        clips.append((f"p{index}", features, aperture))
    ridge = LipRidge([clip[1:] for clip in clips[:8]], penalty=1.0)
    assert ridge.score(clips[8:]) > 0.9
    assert abs(ridge.score(foreign(clips[8:]))) < 0.4
