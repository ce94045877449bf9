import numpy as np

from stage1_motion.postprocessing.breathing import Breathing


def test_fifteen_breaths_a_minute_of_a_millimetre_while_nobody_speaks():
    pose, share = Breathing(np.random.default_rng(0)).next(np.zeros(25 * 120))
    np.testing.assert_allclose(share, 0.4, rtol=1e-5)
    rise = -pose[:, 4]
    assert rise.min() >= 0 and 0.006 < rise.max() < 0.00701
    breaths = (np.diff((rise > 0.0035).astype(int)) == 1).sum()
    assert 24 <= breaths <= 36
    assert 0.2 < np.degrees(-pose[:, 0]).max() < 0.2501 and not pose[:, [1, 2, 3, 5]].any()
    assert np.abs(np.diff(pose[:, 4])).max() < 0.0005


def test_speech_holds_the_breath_and_pieces_are_the_whole():
    speaks = np.repeat([0.0, 1.0, 0.0], 250)
    whole, share = Breathing(np.random.default_rng(1)).next(speaks)
    assert share[499] > 0.99 > 0.41 > share[249] and np.abs(np.diff(share[:, 0])).max() < 0.03
    assert np.abs(whole[400:500]).max() < 1e-4 < np.abs(whole[600:]).max()
    assert np.abs(np.diff(whole, axis=0)).max() < 0.0005
    pieces = Breathing(np.random.default_rng(1))
    assert np.array_equal(np.concatenate([pieces.next(part)[0] for part in np.split(speaks, 30)]), whole)
