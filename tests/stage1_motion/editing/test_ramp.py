"""Ramps against the formula, frame by frame, and what they are for: no jump and no corner at a border."""

import numpy as np
import pytest

from stage1_motion.editing.ramp import ramp_matrix, ramp_to_known


def literal(offset, given, reach):
    """The formula, for one number per frame."""
    frames, out = len(given), np.zeros(len(given))

    def weight(u):
        return 1 - 3 * u**2 + 2 * u**3 if u < 1 else 0.0

    for frame in range(frames):
        if given[frame]:
            out[frame] = offset[frame]
            continue
        for side in (-1, 1):
            border = frame
            while 0 <= border < frames and not given[border]:
                border += side
            if not 0 <= border < frames:
                continue
            other = border - side
            while 0 <= other < frames and not given[other]:
                other -= side
            gap = abs(border - other) if 0 <= other < frames else np.inf
            distance, beyond = abs(frame - border), border + side
            out[frame] += offset[border] * weight(distance / min(reach, gap))
            if 0 <= beyond < frames and given[beyond]:
                speed = offset[border] - offset[beyond]
                out[frame] += distance * speed * weight(distance / min(reach / 3, gap))
    return out


@pytest.mark.parametrize("reach", [1, 5, 8, 25])
@pytest.mark.parametrize(
    "given", ["0", "1", "111", "1100011", "0001000", "1000001000001", "11" + 30 * "0" + "11", "000110000000000000000"]
)
def test_ramps_are_the_formula(given, reach):
    given = np.array(list(given)) == "1"
    offset = np.random.default_rng(0).normal(size=len(given))
    ramp = ramp_matrix(given, reach) @ offset[:, None]
    np.testing.assert_allclose(ramp[:, 0], literal(offset, given, reach), atol=1e-6)


def test_value_and_speed_agree_at_both_borders():
    """A smooth curve bent to another smooth one: its steps near the borders change no faster than those within."""
    time = np.arange(200) / 25
    known, generated = np.sin(3 * time)[:, None], 2 + np.cos(2 * time)[:, None]
    given = np.zeros(200, bool)
    given[:60] = given[140:] = True
    bent = ramp_to_known(generated, known, given, 25)
    assert np.array_equal(bent[given], known[given].astype(np.float32))
    acceleration = np.abs(np.diff(bent[:, 0], n=2))
    elsewhere = np.concatenate([acceleration[:57], acceleration[63:136], acceleration[143:]])
    assert acceleration[[58, 59, 138, 139]].max() < 1.5 * elsewhere.max()
    cut = np.where(given[:, None], known, generated)
    assert np.abs(np.diff(cut[:, 0], n=2))[[58, 59]].max() > 50 * acceleration[[58, 59]].max()


def test_what_is_far_from_keys_stays():
    generated, known = np.random.default_rng(1).normal(size=(2, 100, 3)).astype(np.float32)
    given = np.zeros(100, bool)
    given[50] = True
    bent = ramp_to_known(generated, known, given, 8)
    assert np.array_equal(bent[:43], generated[:43]) and np.array_equal(bent[58:], generated[58:])
    assert np.array_equal(ramp_to_known(generated, known, ~np.ones(100, bool), 8), generated)


def test_parts_are_bent_apart():
    """Two parts, each with columns of its own and keys of its own."""
    rng = np.random.default_rng(2)
    generated, known = rng.normal(size=(2, 40, 4)).astype(np.float32)
    given = np.zeros((40, 2), bool)
    given[10, 0] = given[25:30, 1] = given[35] = True
    projectors = np.stack([np.diag([1, 1, 0, 0]), np.diag([0, 0, 1, 1])]).astype(np.float32)
    bent = ramp_to_known(generated, known, given, 8, projectors)
    for part, columns in enumerate((slice(0, 2), slice(2, 4))):
        alone = ramp_to_known(generated[:, columns], known[:, columns], given[:, part], 8)
        np.testing.assert_allclose(bent[:, columns], alone, atol=1e-5)
    assert np.array_equal(bent[35], known[35])
