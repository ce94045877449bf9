import numpy as np
import pytest

from fd2talk.export.arkit import NAMES, load_arkit_map
from shared.face_model.measures import lip_gap


def test_scores_follow_mouth_and_eyes(motion, model):
    scores = dict(zip(NAMES, load_arkit_map()(motion).T))
    opening = lip_gap(model.vertices(motion.identity, motion.expression))
    assert np.corrcoef(opening, scores["jawOpen"])[0, 1] > 0.85
    assert np.ptp(scores["jawOpen"]) > 0.05
    for side in ("Left", "Right"):
        blink = scores[f"eyeBlink{side}"]
        assert blink.argmax() in (19, 20, 21) and blink.max() > blink[:10].max() + 0.2
    neutral = motion.at(0)
    neutral.expression[:], neutral.identity = 0, None
    rest = dict(zip(NAMES, load_arkit_map()(neutral)[0]))
    for side in ("Smile", "Stretch", "LowerDown"):  # the map is as symmetric as the face
        assert rest[f"mouth{side}Left"] == pytest.approx(rest[f"mouth{side}Right"], abs=0.02)
    assert rest["jawOpen"] < 0.15
