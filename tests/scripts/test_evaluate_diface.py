"""Which frames stay, and how loud the noise is."""

from dataclasses import replace

import numpy as np
import pytest
from evaluate_diface import kept_ends, random_keys, with_noise
from held_out_clips import HeldOut

from shared.motion import Motion


@pytest.fixture
def clip():
    def of(frames):
        random = np.random.default_rng(0)
        audio = random.normal(0, 0.05, frames * 640 - 300).astype(np.float32)
        return HeldOut("a", "b", Motion(*(np.zeros((frames, k)) for k in (70, 3, 3)), "f", audio=audio), None, 0)

    return of


def test_half_of_a_share_at_each_end(clip):
    for share, each in ((0.05, 2), (0.1, 5), (0.2, 10), (0.5, 25)):
        kept = kept_ends(share)(clip(100))
        assert kept[:each].all() and kept[100 - each :].all() and kept.sum() == 2 * each
    assert kept_ends(0.05)(clip(12)).sum() == 2 and not kept_ends(1.0)(clip(12)).all()


def test_keys_are_so_many_a_second_and_add_to_those_of_a_lower_rate(clip):
    one, two, three = (random_keys(rate)(clip(100)) for rate in (1, 2, 3))
    assert (one.sum(), two.sum(), three.sum()) == (4, 8, 12) and (one <= two).all() and (two <= three).all()
    assert not np.array_equal(one, random_keys(1)(replace(clip(100), name="other")))
    assert random_keys(1)(clip(5)).sum() == 1


def test_noise_is_below_the_speech_or_below_full_scale(clip):
    motion = clip(100).motion
    padded = np.pad(motion.audio, (0, 300))
    speech = np.sqrt(np.mean(padded**2))
    for level, full, expected in ((-12, False, speech * 0.2512), (-24, False, speech * 0.0631), (-36, True, 0.01585)):
        noisy = with_noise(level, full)(clip(100))
        assert noisy.dtype == np.float32 and len(noisy) == 64000
        assert np.sqrt(np.mean((noisy - padded) ** 2)) == pytest.approx(expected, rel=0.02)
