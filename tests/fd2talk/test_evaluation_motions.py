"""Figures of motions where a side is still, silent, or ends before the other."""

from types import SimpleNamespace

import numpy as np
import pytest

from fd2talk.evaluation.metrics.lip_judge import LipJudge
from fd2talk.evaluation.metrics.motion_metrics import Sides, motion_figures
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.motion import Motion

MODEL = load_bundled()
FRAMES = 100


def motion(frames: int = FRAMES, nods: float = 0.0) -> Motion:
    """A head that turns back every 0.6 s, over a mouth that moves."""
    random = np.random.default_rng(0)
    expression = random.normal(0, 0.5, (frames, MODEL.num_expression)).astype(np.float32)
    angle = nods * np.cos(np.pi * np.arange(frames) / 25 / 0.6)
    rotation = np.outer(angle, [1, 0, 0]).astype(np.float32)
    return Motion(expression, rotation, np.zeros((frames, 3), np.float32), MODEL.fingerprint)


def sides(made: Motion, real: Motion | None = None, **settings) -> Sides:
    made, real = (None if one is None else SimpleNamespace(motion=one) for one in (made, real))
    return Sides(made, real, MODEL, Settings(**settings))


def clicks(seconds: float) -> np.ndarray:
    """One every 0.6 s."""
    sound = np.zeros(round(seconds * 16000), np.float32)
    for time in np.arange(0.6, seconds - 0.1, 0.6):
        sound[round(time * 16000) :][:16] += 0.5
    return sound


def test_a_motion_against_itself_is_perfect():
    found = motion_figures(sides(motion(nods=0.1), motion(nods=0.1)), None, (), {"lip_sync"})
    for key in ("lve", "lip_max", "fdd", "fdd_signed", "mod", "lip_sync", "l2_lip", "l2_face", "mve", "aperture_lag"):
        assert found[key] == pytest.approx(0, abs=1e-5), key
    for key in ("aperture_correlation", "aperture_spread", "aperture_speed", "beat_align_real", "head_spread"):
        assert found[key] == pytest.approx(1), key


def test_beats_of_sound_after_the_last_frame_do_not_count():
    short, wanted = sides(motion(nods=0.1)), {"beat_align_audio"}
    as_long = motion_figures(short, clicks(FRAMES / 25), (), wanted)["beat_align_audio"]
    assert motion_figures(short, clicks(3 * FRAMES / 25), (), wanted)["beat_align_audio"] == pytest.approx(as_long)
    assert as_long > 0.9


def test_a_real_head_or_mouth_that_is_still_measures_nothing():
    still = motion()
    still.expression[:] = 0
    found = motion_figures(sides(motion(nods=0.1), still), None, (), set())
    assert "head_spread" not in found and found["aperture_correlation"] == 0
    assert np.isnan([found["aperture_spread"], found["aperture_speed"], found["beat_align_real"]]).all()


def test_the_lip_judge_does_not_judge_silence():
    with pytest.raises(InputError, match="the lip expert has nothing to hear"):
        LipJudge()(motion(), np.zeros(640 * FRAMES, np.float32))
