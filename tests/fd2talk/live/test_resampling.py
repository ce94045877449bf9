"""Sound for the motion: of every rate exactly as long, without seams and without aliases."""

import numpy as np
import pytest

from fd2talk.live.resampling import FrameResampler
from shared.errors import UsageError


def tone(hertz, rate, frames):
    return np.sin(2 * np.pi * hertz * np.arange(frames * rate // 25) / rate).astype(np.float32)


def in_pieces(rate, sound, *frames):
    resample, at, out = FrameResampler(rate), 0, []
    for count in frames:
        size = count * rate // 25
        out.append(resample(sound[at : at + size]))
        at += size
    assert at == len(sound)
    return np.concatenate(out)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_a_frame_stays_a_frame_and_pieces_join_without_a_seam(rate):
    sound = tone(440, rate, 30)
    once, pieces = in_pieces(rate, sound, 30), in_pieces(rate, sound, 8, 4, 4, 1, 13)
    assert once.dtype == np.float32 and len(once) == len(pieces) == 30 * 640
    assert np.abs(once - pieces).max() < 1e-6
    delay = 10 / min(rate, 16000) if rate != 16000 else 0
    expected = np.sin(2 * np.pi * 440 * (np.arange(len(once)) / 16000 - delay))
    assert np.abs(once - expected)[640:].max() < 0.01


def test_what_16_khz_cannot_hold_is_filtered_out():
    assert np.abs(in_pieces(48000, tone(11000, 48000, 20), 20)[640:]).max() < 0.01


@pytest.mark.parametrize("rate", [0, 7999, 16001, 200_000, 16000.0, True, None])
def test_other_rates_are_refused(rate):
    with pytest.raises(UsageError, match="samples a second"):
        FrameResampler(rate)
