import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_portraits import level_of, steps, telling_portrait

from fd2talk.integrations import paced
from fd2talk.integrations.paced import PacedFrames, float_sound, pcm
from shared.errors import InputError


def run(work, sound_rate=16000):
    """The result of `work(frames, taken)`, where `taken` grows by (time, frame, what is due) as frames come."""

    async def main():
        frames, taken = PacedFrames(telling_portrait(sound_rate)[0]), []

        async def take():
            async for frame in frames:
                taken.append((time.monotonic(), frame, frames.due()))

        task = asyncio.create_task(take())
        try:
            return await work(frames, taken)
        finally:
            await frames.aclose()
            await task

    before = threading.active_count()
    result = asyncio.run(main())
    assert threading.active_count() <= before
    return result


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


class Clock:
    """Time that goes on when somebody sleeps, or is busy."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        kept = {name: getattr(asyncio, name) for name in ("Event", "TimeoutError", "get_running_loop", "wait_for")}
        monkeypatch.setattr(paced, "asyncio", SimpleNamespace(**kept, sleep=self.sleep))
        monkeypatch.setattr(paced, "time", SimpleNamespace(monotonic=lambda: self.now))

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


def test_frames_come_in_real_time_and_in_order(monkeypatch):
    """A short time that is lost is caught up with; after a long one the clock begins anew."""
    clock, busy, got = Clock(monkeypatch), {10: 0.1, 20: 0.7}, []

    async def main():
        frames = PacedFrames(telling_portrait()[0])
        async for frame in frames:
            got.append((clock.now - 100, frame))
            clock.now += busy.get(frame.index, 0.005)
            if len(got) == 40:
                await frames.aclose()

    asyncio.run(main())
    times, frames = np.array([moment for moment, _ in got]), [frame for _, frame in got]
    assert [frame.index for frame in frames] == list(range(40)) and not any(frame.speaking for frame in frames)
    np.testing.assert_allclose(times[:11], np.arange(11) / 25)
    np.testing.assert_allclose(times[11:14], [0.5, 0.505, 0.52])
    np.testing.assert_allclose(times[14:21], np.arange(14, 21) / 25)
    np.testing.assert_allclose(times[21:], 1.5 + np.arange(19) / 25)


def test_the_loop_is_never_blocked():
    """Not even by a picture that does not come."""
    go, waits, in_vain = threading.Event(), threading.Event(), []

    async def work(frames, taken):
        take = frames.portrait.frame

        def later(timeout):
            waits.set()
            if not go.wait(30):
                in_vain.append(True)
            return take(timeout)

        frames.portrait.frame = later
        frames.speak(steps(16000, [0.2, 0.6, 0.4]))
        await until(waits.is_set)
        for _ in range(100):
            await asyncio.sleep(0.001)
        before = len(taken)
        go.set()
        await until(lambda: len(taken) > before)

    run(work)
    assert not in_vain


@pytest.mark.parametrize("rate", [16000, 24000])
def test_sound_is_whole_and_marks_come_with_its_end(rate):
    """Two utterances without a pause between them: each mark comes with the frame that completes its own."""
    first, second = steps(rate, [0.3, 0.5], 0.21), steps(rate, [0.7], 0.33)

    async def work(frames, taken):
        await asyncio.sleep(0.2)
        with frames.portrait._changed:  # all of it is there before motion is made of it
            for sound, name in ((first, "first"), (second, "second")):
                frames.speak(sound)
                frames.mark(name)
            frames.portrait.end_of_speech()
        await until(lambda: not frames.speaks)
        count = len(taken)
        await until(lambda: len(taken) > count + 1)
        return taken

    taken = run(work, rate)
    sound = np.concatenate([frame.sound for _, frame, _ in taken])
    begins = np.flatnonzero(sound)[0]
    np.testing.assert_array_equal(sound[begins : begins + len(first) + len(second)], np.r_[first, second])
    size = rate // 25
    ends = {name: index for index, (_, _, due) in enumerate(taken) for name in due}
    assert ends["first"] == (begins + len(first) - 1) // size
    assert ends["second"] == (begins + len(first) + len(second) - 1) // size
    assert not taken[ends["second"] + 1][1].speaking


def test_an_interruption_is_heard_at_once_and_forgets_marks():
    async def work(frames, taken, mute):
        frames.speak(steps(16000, [0.5], 3.0))
        frames.mark("never")
        await until(lambda: taken and taken[-1][1].speaking)
        await asyncio.sleep(0.2)
        dropped, now = frames.interrupt(mute=mute), len(taken)
        assert not frames.speaks
        await asyncio.sleep(0.3)
        frames.speak(steps(16000, [0.8], 0.3))
        frames.mark("later")
        frames.portrait.end_of_speech()
        await until(lambda: not frames.speaks)
        return taken, now, dropped

    for mute in (True, False):
        taken, now, dropped = run(lambda frames, taken, mute=mute: work(frames, taken, mute))
        assert dropped == ["never"]
        loud = [index for index, (_, frame, _) in enumerate(taken) if frame.sound.any()]
        after = [index for index in loud if index >= now and taken[index][1].sound.max() < 0.7]
        assert len(after) == 0 if mute else len(after) <= 2  # one may have been on its way
        assert not after or taken[after[-1]][1].sound[-1] == 0
        assert [name for _, _, due in taken for name in due] == ["later"]
        assert taken[loud[-1]][1].sound.max() == np.float32(0.8)


def test_a_frame_that_is_on_its_way_is_muted_too():
    """It was taken before the interruption, and the next one, in which the sound fades out, is silent as well."""
    taken_one, go = threading.Event(), threading.Event()

    async def work(frames, taken):
        frames.speak(steps(16000, [0.5], 3.0))
        await until(lambda: taken and taken[-1][1].speaking)
        take = frames.portrait.frame

        def held(timeout):
            frame = take(timeout)
            taken_one.set()
            go.wait(30)
            return frame

        frames.portrait.frame = held
        await until(taken_one.is_set)
        frames.interrupt(mute=True)
        now = len(taken)
        go.set()
        await until(lambda: len(taken) > now + 5)
        return [frame for _, frame, _ in taken[now:]]

    assert not any(frame.sound.any() or frame.speaking for frame in run(work))


def test_pictures_belong_to_their_sound():
    async def work(frames, taken):
        await asyncio.sleep(0.1)
        frames.speak(steps(16000, [0.2, 0.6, 0.4, 0.8]))
        frames.portrait.end_of_speech()
        await until(lambda: taken and not frames.speaks)
        return taken

    frames = [frame for _, frame, _ in run(work)]
    for frame in frames:
        if not frame.late:
            assert abs(level_of(frame.image) - np.sqrt(np.square(frame.sound).mean())) < 0.01
    assert sum(frame.speaking for frame in frames) >= 20


def test_sound_of_sixteen_bits():
    samples = np.array([0, 0.5, -1, 1, 2], np.float32)
    back = float_sound(pcm(samples), 1)
    np.testing.assert_allclose(back, [0, 0.5, -1, 1, 1], atol=1e-4)
    stereo = np.array([[100, 300], [-20, 20]], "<i2")
    np.testing.assert_allclose(float_sound(stereo.tobytes(), 2) * 32768, [200, 0])
    assert float_sound(memoryview(stereo), 2).dtype == np.float32
    with pytest.raises(InputError, match="3 bytes"):
        float_sound(b"abc", 1)
