import numpy as np
import pytest
from material import write_wav
from media_files import grey_frames, tone, write_video

from shared.audio import read_audio
from shared.spliced_sound import Part, SplicedSound


def joined(parts, rate=16000, layout="mono"):
    return np.concatenate(list(SplicedSound(parts).resampled(rate, layout)), axis=1)


@pytest.fixture
def levels(tmp_path):
    """Recordings of one second that rise evenly: from 0 to .4, and from .5 to .9."""
    rise = np.linspace(0, 0.4, 16000, dtype=np.float32)
    return write_wav(tmp_path / "low.wav", rise, width=4), write_wav(tmp_path / "high.wav", rise + 0.5, width=4)


def test_parts_follow_each_other_to_the_sample_with_a_short_crossfade(levels):
    low, high = levels
    out = joined([Part(low, 0.1, 0.3), Part(high, 0.5, 0.2), Part(low, 0.6, 0.25)])[0]
    assert len(out) == 12000
    rise = 0.4 * np.arange(16000) / 15999
    expected = np.concatenate([rise[1600:6400], 0.5 + rise[8000:11200], rise[9600:13600]])
    sure = np.ones(12000, bool)
    for join in (4800, 8000):
        sure[join - 80 : join + 80] = False
    np.testing.assert_allclose(out[sure], expected[sure], atol=1e-4)
    for k in range(160):
        share = (k + 0.5) / 160
        at = 6400 - 80 + k, 8000 - 80 + k
        assert out[4720 + k] == pytest.approx((1 - share) * rise[at[0]] + share * (0.5 + rise[at[1]]), abs=1e-4)


def test_parts_of_one_recording_that_follow_each_other_are_the_recording(levels):
    out = joined([Part(levels[0], 0, 0.25), Part(levels[0], 0.25, 0.5), Part(levels[0], 0.75, 0.25)])[0]
    np.testing.assert_allclose(out, read_audio(levels[0]), atol=1e-4)


def test_outside_a_recording_there_is_silence(levels):
    out = joined([Part(levels[1], -0.5, 2.0)])[0]
    assert len(out) == 32000 and not out[:8000].any() and not out[24000:].any() and out[8000:24000].min() > 0.49
    assert not joined([Part(levels[1], 3, 0.5)]).any()


def test_the_best_rate_and_all_channels_are_kept(tmp_path):
    stereo = write_wav(tmp_path / "s.wav", np.stack([tone(1, 48000), 0 * tone(1, 48000)], 1), 48000)
    mono = write_wav(tmp_path / "m.wav", tone(1, 16000))
    sound = SplicedSound([Part(mono, 0, 0.5), Part(stereo, 0, 0.5)])
    assert (sound.rate, sound.channels) == (48000, 2)
    out = np.concatenate(list(sound.resampled(48000, "stereo")), axis=1)
    assert out.shape == (2, 48000)
    np.testing.assert_allclose(out[0, 2000:20000], out[1, 2000:20000], atol=1e-4)
    assert np.abs(out[0, 26000:]).max() > 0.45 and np.abs(out[1, 26000:]).max() < 0.01


def test_clicks_of_two_recordings_stay_at_their_flashes(tmp_path):
    """The first second of one, then of the other from its third second on."""
    paths, clicks = [], ((0.48,), (2.2, 2.8))
    for number, times in enumerate(clicks):
        sound = np.zeros(3 * 44100, np.float32)
        for time in times:
            sound[round(time * 44100) :][:220] = tone(1 / 200, 44100, 2000)[:220]
        paths.append(write_wav(tmp_path / f"{number}.wav", sound, 44100))
    times = (0.48, 1.2, 1.8)
    frames = grey_frames(50, lambda i: 255 * (i in [round(25 * t) for t in times]))
    spliced = SplicedSound([Part(paths[0], 0, 1), Part(paths[1], 2, 1)])
    heard = np.abs(read_audio(write_video(tmp_path / "v.mp4", frames, audio=spliced)))
    assert heard.size == pytest.approx(32000, abs=1)
    for time in times:
        start = round((time - 0.1) * 16000)
        assert abs((start + np.argmax(heard[start : start + 3200] > 0.15)) / 16000 - time) < 0.005
