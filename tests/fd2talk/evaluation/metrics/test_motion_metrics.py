"""Metrics of motions of which one is still, silent, or shorter than the other."""

import numpy as np
import pytest

from fd2talk.evaluation.metrics.motion_metrics import MotionPair, motion_scores
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.motion import Motion

MODEL = load_bundled()
FRAMES = 100


def motion(frames: int = FRAMES, nods: float = 0.0) -> Motion:
    """A moving mouth on a head that changes direction every 0.6 s."""
    random = np.random.default_rng(0)
    expression = random.normal(0, 0.5, (frames, MODEL.num_expression)).astype(np.float32)
    angle = nods * np.cos(np.pi * np.arange(frames) / 25 / 0.6)
    rotation = np.outer(angle, [1, 0, 0]).astype(np.float32)
    return Motion(expression, rotation, np.zeros((frames, 3), np.float32), MODEL.fingerprint)


def pair(generated: Motion, reference: Motion | None = None, **settings) -> MotionPair:
    return MotionPair(generated, reference, MODEL, Settings(**settings))


def clicks(seconds: float) -> np.ndarray:
    """One every 0.6 s."""
    sound = np.zeros(round(seconds * 16000), np.float32)
    for time in np.arange(0.6, seconds - 0.1, 0.6):
        sound[round(time * 16000) :][:16] += 0.5
    return sound


def test_a_motion_against_itself_is_perfect():
    scores = motion_scores(pair(motion(nods=0.1), motion(nods=0.1)), None, (), {"lip_sync", "mod"})
    for key in (
        "lve",
        "lip_max",
        "fdd",
        "fdd_signed",
        "mod",
        "lip_sync",
        "l2_lip",
        "l2_face",
        "mve",
        "aperture_lag",
        "lve_codetalker",
        "fdd_codetalker",
    ):
        assert scores[key] == pytest.approx(0, abs=1e-5), key
    for key in ("aperture_correlation", "aperture_spread", "aperture_speed", "beat_align_real", "head_spread"):
        assert scores[key] == pytest.approx(1), key


def test_audio_beats_after_the_last_frame_do_not_count():
    short, wanted = pair(motion(nods=0.1)), {"beat_align_audio"}
    same_length = motion_scores(short, clicks(FRAMES / 25), (), wanted)["beat_align_audio"]
    longer = motion_scores(short, clicks(3 * FRAMES / 25), (), wanted)["beat_align_audio"]
    assert longer == pytest.approx(same_length) and same_length > 0.9


def test_a_still_reference_measures_nothing():
    still = motion()
    still.expression[:] = 0
    scores = motion_scores(pair(motion(nods=0.1), still), None, (), set())
    assert "head_spread" not in scores and scores["aperture_correlation"] == 0
    assert np.isnan([scores["aperture_spread"], scores["aperture_speed"], scores["beat_align_real"]]).all()


def test_rates_must_agree_unless_resampled():
    at_30 = motion(nods=0.1).resample(30)
    with pytest.raises(InputError, match="30 frames per second, the reference's 25 .--resample"):
        pair(at_30, motion(nods=0.1))
    both = pair(at_30, motion(nods=0.1), resampled=True)
    assert both.fps == 25 and both.length == FRAMES


def test_seconds_are_those_of_the_measured_rate():
    """The same film at 30 frames per second has the same beats, blinks and growth."""
    filmed = motion(nods=0.1)
    filmed.translation[:, 2] = np.log(1 + 0.1 * np.arange(FRAMES) / 25)  # a tenth per second
    found = []
    for rate in (25, 30):
        one = filmed.resample(rate)
        scores = motion_scores(pair(one, one, fps=rate), clicks(FRAMES / 25), (), {"beat_align_audio"})
        found.append([scores[key] for key in ("beat_align_audio", "head_growth")])
    assert found[0] == pytest.approx(found[1], abs=0.05) and found[0][1] == pytest.approx(4, abs=1e-3)


def test_lengths_must_agree_unless_resampled():
    with pytest.raises(InputError, match="90 frames, the reference 100 .--resample"):
        pair(motion(90), motion())
    scores = motion_scores(pair(motion(90), motion(), resampled=True), None, (), {"mve"})
    assert np.isfinite(scores["mve"])
