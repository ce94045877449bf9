"""PCM that arrives over a network."""

import numpy as np
import pytest

from fd2talk.live.sources import Microphone, PcmReader
from shared.errors import InputError


def pcm(samples):
    return np.rint(np.asarray(samples) * 32767).astype("<i2").tobytes()


def test_samples_are_signed_little_endian():
    samples = PcmReader(48000, 48000)(b"\x00\x40\x00\x80\xff\x7f")
    assert samples.dtype == np.float32
    assert np.allclose(samples, [0.5, -1, 32767 / 32768])


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 96000])
def test_another_rate_keeps_the_sound_and_its_length_in_pieces_of_any_size(rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    reader, data, rng, parts, at = PcmReader(rate, 48000), pcm(tone), np.random.default_rng(0), [], 0
    while at < len(data):
        size = 2 * int(rng.integers(0, 2000))
        parts.append(reader(data[at : at + size]))
        at += size
    sound = np.concatenate([*parts, reader.flush()])
    assert abs(len(sound) - 96000) <= 2
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(sound)) / 48000)
    assert np.abs(sound - expected)[500:-500].max() < 0.01
    assert np.abs(reader(pcm(tone))[500:2000] - expected[500:2000]).max() < 0.01  # the next utterance


def test_half_a_sample_is_refused():
    with pytest.raises(InputError, match="3 bytes are no sound"):
        PcmReader(16000, 16000)(b"abc")


@pytest.mark.parametrize("rate", [0, 7999, 96001])
def test_a_rate_of_no_sound_is_refused(rate):
    with pytest.raises(InputError, match=f"not {rate}"):
        PcmReader(rate, 16000)


def test_a_microphone_skips_pauses_where_too_much_waits():
    waits = 0.0
    microphone = Microphone(lambda: waits)
    loud, quiet = np.full(960, 0.3, np.float32), np.full(960, 0.002, np.float32)
    assert microphone.admits(loud) and microphone.admits(quiet)
    waits = 0.4
    assert microphone.admits(loud) and not microphone.admits(quiet)
    waits = 1.5
    assert not microphone.admits(loud)


def test_a_clock_that_is_fast_does_not_make_speech_wait_longer_and_longer():
    """A microphone that gives 1 % too much for ten minutes, with a pause of half a second every three."""
    waits, most = 0.0, 0.0
    microphone = Microphone(lambda: waits)
    for number in range(30_000):
        quiet = number % 150 >= 125
        if microphone.admits(np.full(970, 0.001 if quiet else 0.3, np.float32)):
            waits += 970 / 48000
        waits = max(0.0, waits - 0.02)
        most = max(most, waits)
    assert most < 0.4
