"""Sound on the time line: in order, complete, once, and with gaps only where nothing has arrived."""

import numpy as np
import pytest

from fd2talk.live.speech_queue import SpeechQueue

RATE = 16000
SIZE = 640


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return SpeechQueue(RATE, clock)


def ramp(first, last):
    """Samples that tell their own number."""
    return np.arange(first + 1, last + 1, dtype=np.float32)


def joined(frames):
    return np.concatenate([frame.samples for frame in frames])


def test_without_speech_there_is_silence_at_once(queue):
    frames = queue.take(4, now=False)
    assert [frame.speaking for frame in frames] == [False] * 4
    assert not joined(frames).any() and len(joined(frames)) == 4 * SIZE


def test_a_sentence_given_at_once_is_taken_from_its_beginning(queue, clock):
    queue.put(ramp(0, 10 * SIZE))
    queue.complete()
    assert queue.seconds == 0.4
    got = [queue.take(4, now=False) for _ in range(3)]
    assert np.array_equal(joined([*got[0], *got[1], *got[2]]), np.append(ramp(0, 10 * SIZE), np.zeros(2 * SIZE)))
    assert [frame.speaking for frame in got[2]] == [True, True, False, False]
    # Each frame is due as far after the arrival as it lies within the sentence.
    assert np.allclose([frame.due for frame in [*got[0], *got[1]]], 100 + 0.04 * np.arange(8))


def test_a_microphone_begins_late_enough_for_its_pieces_to_come_in_time(queue, clock):
    """Pieces of 20 ms, each up to 30 ms late; hops of 160 ms."""
    rng, out, sent = np.random.default_rng(0), [], 0
    for hop in range(40):
        for _ in range(8):
            if hop >= 3:
                queue.put(ramp(sent, sent + 320))
                sent += 320
        late = round(rng.uniform(0, 0.03) * RATE) if hop > 3 else 0
        held, queue_parts = ramp(sent - late, sent), None
        if late:  # the last pieces have not arrived when the hop is taken
            whole = np.concatenate([part for part, _ in queue._parts])
            queue_parts = whole[: len(whole) - late]
            queue.clear()
            queue.put(queue_parts)
            queue._flowing = True
        out += queue.take(4, now=True)
        if late:
            queue.put(held)
        clock.now += 0.16
    sound = joined(out)
    said = sound[sound > 0]
    first = np.flatnonzero(sound)[0]
    assert np.array_equal(sound[first:], said)  # no gap
    assert np.array_equal(said, ramp(0, len(said)))  # nothing lost, nothing twice
    assert len(said) >= sent - 4 * SIZE


def test_a_hop_waits_for_sound_that_is_to_come_unless_it_is_needed_now(queue, clock):
    queue.put(ramp(0, SIZE))
    assert queue.take(4, now=False) is None
    frames = queue.take(4, now=True)
    assert [frame.speaking for frame in frames] == [False] * 4  # 40 ms stay as a margin
    queue.put(ramp(SIZE, 2 * SIZE))
    frames = queue.take(4, now=True)
    assert [frame.speaking for frame in frames] == [False, False, False, True]
    assert np.array_equal(frames[3].samples, ramp(0, SIZE))


def test_what_nobody_completes_is_said_when_nothing_follows(queue, clock):
    queue.put(ramp(0, 100))
    assert queue.take(4, now=False) is None
    clock.now += 0.3
    frames = queue.take(4, now=False)
    assert np.array_equal(frames[0].samples[:100], ramp(0, 100)) and not joined(frames)[100:].any()
    assert queue.take(4, now=False) is not None and queue.seconds == 0


def test_sound_that_runs_dry_fades_out_and_goes_on_later(queue, clock):
    queue.put(np.ones(6 * SIZE, np.float32))
    queue.take(4, now=True)
    frames = queue.take(4, now=True)
    sound = joined(frames)
    end = np.flatnonzero(sound)[-1] + 1
    assert 2 * SIZE - 4 <= end <= 2 * SIZE and (np.diff(sound[end - 80 : end]) <= 0).all() and sound[end - 81] == 1
    queue.put(np.full(5 * SIZE, 2, np.float32))
    assert joined(queue.take(4, now=True))[-1] == 2


def test_dropped_speech_is_not_heard(queue):
    queue.put(ramp(0, 10 * SIZE))
    queue.take(4, now=True)
    queue.clear()
    assert queue.seconds == 0 and not joined(queue.take(4, now=False)).any()
    queue.put(ramp(0, 8 * SIZE))
    assert joined(queue.take(4, now=True))[0] == 1
