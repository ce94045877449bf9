import numpy as np
import pytest

from shared.media import read_audio
from shared.weights import bundled
from stage1_motion.streaming.hearing import Hearing

SECOND = 16000


def recording(number):
    return read_audio(bundled(f"demo/sense_and_sensibility_01_austen_64kb-0{number}.wav"))


def silence(seconds):
    return np.zeros(round(SECOND * seconds), np.float32)


def heard(sound, size=1600):
    hearing = Hearing()
    return [frame for start in range(0, len(sound), size) for frame in hearing.push(sound[start : start + size])]


def seconds_of(frames, cue):
    return [index / 25 for index, frame in enumerate(frames) if getattr(frame, cue)]


def voice(pitches, seconds=0.01):
    """Harmonics of a pitch that changes every 10 ms."""
    pitch = np.repeat(pitches, round(seconds * SECOND))
    phase = 2 * np.pi * np.cumsum(pitch) / SECOND
    return sum(0.1 / k * np.sin(k * phase) for k in range(1, 6)).astype(np.float32)


def test_a_frame_for_every_40_ms_whatever_the_blocks():
    sound = recording(880)
    frames = heard(sound)
    assert len(frames) == len(sound) // 640
    for size in (1, 320, 7777, len(sound)):
        assert heard(sound[: SECOND // 2] if size == 1 else sound, size) == frames[: 12 if size == 1 else None]


def test_a_turn_begins_and_ends():
    sound = np.concatenate([silence(1), recording(890), silence(1.5), recording(880), silence(1.5)])
    frames = heard(sound)
    first, second = 1 + len(recording(890)) / SECOND, 2.5 + (len(recording(890)) + len(recording(880))) / SECOND
    assert [frame.speaks for frame in frames[:25]] == 25 * [False]
    begins, ends = seconds_of(frames, "begins"), seconds_of(frames, "turn_ends")
    assert len(begins) == 2 and 1 < begins[0] < 1.5 and first + 1.4 < begins[1] < first + 2
    assert len(ends) == 2 and first + 0.3 < ends[0] < first + 0.8 and second + 0.3 < ends[1] < second + 0.8
    phrase_ends = seconds_of(frames, "phrase_ends")
    for end in (first, second):
        assert any(end - 0.3 < time < end + 0.45 for time in phrase_ends)


@pytest.mark.parametrize("kind", ["silence", "noise", "clicks", "hum"])
def test_what_is_no_speech_is_not_heard(kind):
    time = np.arange(6 * SECOND) / SECOND
    noise = np.random.default_rng(0).normal(0, 1, len(time))
    sound = {
        "silence": 0 * time,
        "noise": 0.01 * noise,
        "clicks": 0.5 * noise * (time % 1 < 0.02),
        "hum": 0.03 * np.sin(2 * np.pi * 50 * time),
    }[kind]
    frames = heard(sound.astype(np.float32))
    assert not any(frame.speaks or frame.phrase_ends or frame.turn_ends for frame in frames[50:])


def test_noise_of_a_room_hides_no_pauses():
    sound = np.concatenate([silence(1), recording(880), silence(1.5), recording(890), silence(1)])
    noise = np.random.default_rng(0).normal(0, 0.003, len(sound)).astype(np.float32)
    assert len(seconds_of(heard(sound + noise), "turn_ends")) == len(seconds_of(heard(sound), "turn_ends"))
    quiet = seconds_of(heard(0.2 * sound), "begins")
    np.testing.assert_allclose(quiet, seconds_of(heard(sound), "begins"), atol=0.1)


def test_low_pitch_is_a_cue_and_high_pitch_is_none():
    low = np.concatenate([np.full(100, 200.0), np.full(15, 130.0), np.full(60, 200.0)])
    high = np.concatenate([np.full(100, 200.0), np.full(15, 290.0), np.full(60, 200.0)])
    sound = [np.concatenate([silence(0.5), voice(pitches), silence(0.5)]) for pitches in (low, high)]
    [when] = seconds_of(heard(sound[0]), "low_pitch")
    assert 0.5 + 1.0 + 0.08 < when < 0.5 + 1.0 + 0.2
    assert not seconds_of(heard(sound[1]), "low_pitch")
    early = np.concatenate([np.full(40, 200.0), np.full(15, 130.0), np.full(10, 200.0)])  # before 700 ms of speech
    assert not seconds_of(heard(np.concatenate([silence(0.5), voice(early), silence(0.3)])), "low_pitch")


@pytest.mark.parametrize("pitch", [80.0, 120.0, 210.0, 350.0])
def test_pitch_is_found(pitch):
    found = Hearing()._pitch(voice(np.full(4, pitch)).astype(float))
    assert found == pytest.approx(pitch, rel=0.03)
    assert Hearing()._pitch(np.random.default_rng(1).normal(size=640)) == 0
