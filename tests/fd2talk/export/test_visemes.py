import numpy as np
import pytest

from fd2talk.export.visemes import VISEMES, runs, visemes, visemes_csv
from shared.arkit import NAMES

FPS = 25.0


def curves_of(*frames):
    """Each frame: a dict of curves; a name without side is for both."""
    curves = np.zeros((len(frames), len(NAMES)))
    for row, values in zip(curves, frames):
        for name, value in values.items():
            row[[k for k, other in enumerate(NAMES) if other in (name, f"{name}Left", f"{name}Right")]] = value
    return curves


OPEN = {"jawOpen": 0.45, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3}
ROUND = {"jawOpen": 0.1, "mouthPucker": 0.7, "mouthFunnel": 0.2}
STUCK_OUT = {"jawOpen": 0.05, "mouthFunnel": 0.6, "mouthPucker": 0.2, "mouthLowerDown": 0.2}


def test_the_order_is_that_of_oculus_lipsync():
    assert VISEMES == tuple("sil PP FF TH DD kk CH SS nn RR aa E ih oh ou".split())


@pytest.mark.parametrize(("mouth", "wanted"), [(OPEN, "aa"), (ROUND, "ou"), (STUCK_OUT, "CH"), ({}, "sil")])
def test_a_clear_mouth_has_its_viseme(mouth, wanted):
    weights = visemes(curves_of(*[mouth] * 30), FPS)
    assert weights.shape == (30, 15)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-9)
    assert weights.min() > -1e-9 and {VISEMES[k] for k in weights.argmax(1)} == {wanted}


def test_half_a_mouth_leaves_more_of_silence():
    weights = visemes(curves_of(OPEN, {name: value / 2 for name, value in OPEN.items()}), FPS)
    assert weights[1, 0] > weights[0, 0] + 0.05


@pytest.mark.parametrize(("frames", "wanted"), [(3, "PP"), (5, "PP"), (7, "sil")])
def test_short_closures_are_p_b_or_m_and_long_ones_silence(frames, wanted):
    weights = visemes(curves_of(*[OPEN] * 5, *[{}] * frames, *[OPEN] * 5), FPS)
    assert {VISEMES[k] for k in weights[5 : 5 + frames].argmax(1)} == {wanted}


def test_silence_at_the_ends_stays_silence_and_a_smile_says_nothing():
    weights = visemes(curves_of({}, {}, OPEN, OPEN, {"mouthSmile": 0.8}, {"mouthSmile": 0.8}), FPS)
    assert [VISEMES[k] for k in weights.argmax(1)] == ["sil", "sil", "aa", "aa", "sil", "sil"]


def test_runs():
    assert runs(np.array([1, 1, 2, 1])) == [(0, 2), (2, 3), (3, 4)]
    assert runs(np.array([5])) == [(0, 1)]


def test_table():
    header, first, second = visemes_csv(np.eye(15)[:2], FPS).splitlines()
    assert header == "time,sil,PP,FF,TH,DD,kk,CH,SS,nn,RR,aa,E,ih,oh,ou"
    assert first.split(",")[:3] == ["0.0000", "1.000000", "0.000000"]
    assert second.split(",")[:3] == ["0.0400", "0.000000", "1.000000"] and len(second.split(",")) == 16
