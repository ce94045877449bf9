"""The face behind LiveKit's own `AvatarRunner` and `QueueAudioOutput`; nothing is faked but the room."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_portraits import (
    imports_of_the_docs,
    late_frames,
    level_of,
    onsets,
    steps,
    stood_still,
    telling_portrait,
    undisturbed,
)

pytest.importorskip("livekit.agents", reason="needs livekit-agents: make test-integrations")

from livekit import rtc  # noqa: E402
from livekit.agents import Agent, AgentSession  # noqa: E402
from livekit.agents.voice.avatar import AudioSegmentEnd  # noqa: E402
from livekit.agents.voice.io import AgentOutput  # noqa: E402

from fd2talk.integrations.livekit import PortraitVideo  # noqa: E402
from fd2talk.integrations.paced import float_sound, pcm  # noqa: E402

RATE = 24000


class Room(rtc.EventEmitter):
    """A room in which everybody subscribes at once."""

    def __init__(self):
        super().__init__()
        self.published = []
        self.local_participant = SimpleNamespace(publish_track=self._publish)

    def isconnected(self):
        return True

    async def _publish(self, track, options):
        self.published.append((track, options))

        async def subscribed():
            return None

        return SimpleNamespace(wait_for_subscription=subscribed)


class Session:
    """What `PortraitVideo.start` uses of an `AgentSession`."""

    def __init__(self):
        self.output = AgentOutput(*3 * [lambda: None])


def run(work, sound_rate=RATE, **options):
    """Run `work(face, audio, sent, stream, room)` with a runner started, and return what it returns.

    `sent` grows by (time, frame) as the runner gives frames to the sources of its tracks.
    """

    async def main():
        portrait, stream = telling_portrait(sound_rate)
        face, session, room, sent = PortraitVideo(portrait), Session(), Room(), []
        runner = await face.start(session, room, **options)
        for source in (runner._audio_source, runner._video_source):
            record(source, sent)
        try:
            return await work(face, session.output.audio, sent, stream, room)
        finally:
            await face.aclose()

    result = asyncio.run(asyncio.wait_for(main(), 240))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("live")]
    return result


def record(source, sent):
    capture = source.capture_frame

    def captured(frame, **arguments):
        sent.append((time.monotonic(), frame))
        return capture(frame, **arguments)

    source.capture_frame = captured


def blocks(sound, rate=RATE, size=0.1):
    count = round(size * rate)
    pieces = [sound[start : start + count] for start in range(0, len(sound), count)]
    return [rtc.AudioFrame(pcm(piece), rate, 1, len(piece)) for piece in pieces]


async def say(audio, sound, rate=RATE):
    for frame in blocks(sound, rate):
        await audio.capture_frame(frame)
    audio.flush()


def of(sent, kind):
    return [frame for _, frame in sent if isinstance(frame, kind)]


def sound_of(frames):
    return np.concatenate([float_sound(frame.data, 1) for frame in frames])


def level(frame):
    return level_of(np.frombuffer(frame.data, np.uint8))


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


def seconds_of(frames):
    """Of sound."""
    return sum(frame.samples_per_channel for frame in frames) / RATE


def begins_of(sent):
    """When the sound of each frame of `sent` is played by a source that takes it in real time, and the sound."""
    frames = [(moment, frame) for moment, frame in sent if isinstance(frame, rtc.AudioFrame)]
    begins, free = [], 0.0
    for moment, frame in frames:
        begins.append(max(free, moment))
        free = begins[-1] + seconds_of([frame])
    return (
        np.array(begins),
        sound_of([frame for _, frame in frames]),
        np.array([f.samples_per_channel for _, f in frames]),
    )


def test_a_segment_is_played_whole_and_its_end_is_reported():
    sound = steps(RATE, [0.2, 0.6, 0.4, 0.8])

    async def work(face, audio, sent, _, room):
        await say(audio, sound)
        finished = await asyncio.wait_for(audio.wait_for_playout(), 60)
        return sent, finished, [options.source for _, options in room.published], room

    sent, finished, sources, room = run(work)
    found = sound_of(of(sent, rtc.AudioFrame))
    begins = np.flatnonzero(found)[0]
    np.testing.assert_allclose(found[begins : begins + len(sound)], sound, atol=1e-3)
    assert not finished.interrupted
    assert len(sound) / RATE <= finished.playback_position <= len(sound) / RATE + 0.02 + 0.08  # in whole frames
    assert sources == [rtc.TrackSource.SOURCE_MICROPHONE, rtc.TrackSource.SOURCE_CAMERA]
    assert not room._events.get("track_subscribed")


def test_sound_and_picture_of_one_frame_leave_the_generator_together():
    async def main():
        portrait, _ = telling_portrait(RATE)
        late = late_frames(portrait)
        face, got = PortraitVideo(portrait), []

        async def take():
            async for frame in face:
                got.append((time.monotonic(), frame))

        task = asyncio.create_task(take())
        await asyncio.sleep(0.2)
        for frame in blocks(steps(RATE, [0.2, 0.6, 0.4, 0.8])):
            await face.push_audio(frame)
        await face.push_audio(AudioSegmentEnd())
        await until(lambda: of(got, AudioSegmentEnd))
        await face.aclose()
        await task
        return got, late

    got, late = asyncio.run(main())
    pairs = matching = 0
    for (_, picture), (_, sound) in zip(got, got[1:]):
        if isinstance(sound, rtc.AudioFrame):
            assert isinstance(picture, rtc.VideoFrame) and (picture.width, picture.height) == (64, 32)
            samples = sound_of([sound])[-RATE // 25 :]
            pairs += 1
            matching += abs(level(picture) - np.sqrt(np.square(samples).mean())) < 0.02
    assert pairs >= 20 and matching >= pairs - 4 - len(late)  # four have sound of two levels
    kinds = [type(frame) for _, frame in got]
    assert kinds.count(AudioSegmentEnd) == 1
    assert kinds.index(AudioSegmentEnd) == max(index for index, kind in enumerate(kinds) if kind is rtc.AudioFrame) + 1
    times = [moment for moment, frame in got if isinstance(frame, rtc.VideoFrame)]
    assert times[-1] - times[0] > (len(times) - 1) / 25 - 0.5  # never faster; the clock itself: test_paced.py


def test_pictures_are_shown_with_their_sound():
    """At the sources of the tracks: loud sound is played within 60 ms of its picture."""

    async def work(face, audio, sent, *_):
        await until(lambda: len(of(sent, rtc.VideoFrame)) > 10)
        await say(audio, steps(RATE, 6 * [0.2, 0.8] + [0.2, 0.9], 0.24))
        await asyncio.wait_for(audio.wait_for_playout(), 60)
        await asyncio.sleep(0.2)
        return sent

    sent = undisturbed(lambda: run(lambda *given: stood_still(work(*given))))
    levels = [(moment, level(frame)) for moment, frame in sent if isinstance(frame, rtc.VideoFrame)]
    shown = np.array([moment for (_, before), (moment, now) in zip(levels, levels[1:]) if before < 0.5 < now])
    begins, sound, sizes = begins_of(sent)
    first = np.cumsum(sizes) - sizes
    at = np.round(onsets(sound, RATE) * RATE).astype(int)
    inside = np.searchsorted(first, at, "right") - 1
    played = begins[inside] + (at - first[inside]) / RATE
    apart = np.array([np.abs(played - moment).min() for moment in shown])
    assert len(played) == 7 and len(shown) >= 6 and np.median(apart) < 0.06, apart
    assert max(now for _, now in levels) == pytest.approx(0.9, abs=0.02)


def test_an_interruption_silences_within_100_ms_and_has_no_end():
    async def work(face, audio, sent, *_):
        await say(audio, steps(RATE, [0.5], 4.0))
        await until(lambda: len(of(sent, rtc.AudioFrame)) > 12)
        count = len(sent)
        audio.clear_buffer()
        interrupted = await asyncio.wait_for(audio.wait_for_playout(), 60)
        reported = len(of(sent[count:], rtc.VideoFrame))
        await asyncio.sleep(0.4)
        again = len(sent)
        await say(audio, steps(RATE, [0.8], 0.3))
        finished = await asyncio.wait_for(audio.wait_for_playout(), 60)
        return sent, count, reported, again, interrupted, finished

    sent, count, reported, again, interrupted, finished = run(work)
    late = of(sent[count:again], rtc.AudioFrame)
    assert seconds_of(late) < 0.1 and reported <= 4  # pictures until it is told
    assert not late or abs(float_sound(late[-1].data, 1)[-1]) < 1e-3  # it has faded out
    before = of(sent[:again], rtc.AudioFrame)
    assert interrupted.interrupted and interrupted.playback_position == pytest.approx(seconds_of(before), abs=0.15)
    assert not finished.interrupted and 0.3 <= finished.playback_position < 0.42


@pytest.mark.parametrize("rate", [16000, 48000])
def test_other_rates_are_resampled_whole(rate):
    sound = np.sin(2 * np.pi * 220 * np.arange(rate) / rate).astype(np.float32) / 2

    async def main():
        portrait, _ = telling_portrait(RATE)
        face, got = PortraitVideo(portrait), []

        async def take():
            async for frame in face:
                got.append((0.0, frame))

        task = asyncio.create_task(take())
        stereo = np.repeat(np.frombuffer(pcm(sound), "<i2"), 2)
        for start in range(0, len(stereo), rate // 5):
            piece = stereo[start : start + rate // 5]
            await face.push_audio(rtc.AudioFrame(piece.tobytes(), rate, 2, len(piece) // 2))
        await face.push_audio(AudioSegmentEnd())
        await until(lambda: of(got, AudioSegmentEnd))
        await face.aclose()
        await task
        return got

    found = sound_of(of(asyncio.run(main()), rtc.AudioFrame))
    loud = np.flatnonzero(np.abs(found) > 0.02)
    assert abs((loud[-1] - loud[0]) / RATE - 1) < 0.01
    assert np.sqrt(np.square(found[loud[0] : loud[-1]]).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_participants_are_listened_to(monkeypatch):
    class Stream:
        def __init__(self, track, sample_rate, num_channels):
            assert (track.name, sample_rate, num_channels) == ("their voice", 16000, 1)

        async def __aiter__(self):
            for _ in range(50):
                yield SimpleNamespace(frame=rtc.AudioFrame(pcm(np.full(320, 0.25, np.float32)), 16000, 1, 320))
                await asyncio.sleep(0.005)

        async def aclose(self):
            closed.append(True)

    closed = []
    monkeypatch.setattr(rtc, "AudioStream", Stream)

    async def work(face, audio, sent, stream, room):
        room.emit("track_subscribed", SimpleNamespace(kind=rtc.TrackKind.KIND_VIDEO), None, None)
        room.emit("track_subscribed", SimpleNamespace(kind=rtc.TrackKind.KIND_AUDIO, name="their voice"), None, None)
        await until(lambda: sum(map(len, stream.heard)) >= 14000)
        return stream.heard

    np.testing.assert_allclose(np.concatenate(run(work)), 0.25, atol=1e-3)
    assert closed


def test_it_ends_at_once_in_mid_speech():
    async def work(face, audio, sent, *_):
        await say(audio, steps(RATE, [0.5], 20.0))
        await until(lambda: of(sent, rtc.AudioFrame))
        return sent

    assert seconds_of(of(run(work), rtc.AudioFrame)) < 10


def test_options_are_those_of_the_portrait():
    async def main():
        face = PortraitVideo(telling_portrait(48000, 96)[0])
        options = face.options
        await face.aclose()
        return options

    options = asyncio.run(main())
    assert (options.video_width, options.video_height, options.video_fps) == (96, 48, 25)
    assert (options.audio_sample_rate, options.audio_channels) == (48000, 1)


def test_the_example_of_the_docs_names_what_there_is():
    assert imports_of_the_docs("livekit")["PortraitVideo"] is PortraitVideo


def test_a_session_speaks_through_it_and_is_interrupted():
    """A real `AgentSession` that says a recording, twice; it is interrupted the second time."""

    async def main():
        portrait, _ = telling_portrait(RATE)
        face, session, room, sent = PortraitVideo(portrait), AgentSession(), Room(), []
        runner = await face.start(session, room)
        for source in (runner._audio_source, runner._video_source):
            record(source, sent)

        async def recording(sound):
            for frame in blocks(sound):
                yield frame

        await session.start(Agent(instructions="You are brief."), record=False)
        try:
            said = session.say("a step", audio=recording(steps(RATE, [0.3, 0.6])))
            await asyncio.wait_for(said.wait_for_playout(), 60)
            whole = len(of(sent, rtc.AudioFrame))
            said = session.say("a long one", audio=recording(steps(RATE, [0.8], 4.0)))
            await until(lambda: len(of(sent, rtc.AudioFrame)) > whole + 10)
            clear, cleared = face.clear_buffer, []

            async def clear_buffer():
                cleared.append(len(sent))
                await clear()

            face.clear_buffer = clear_buffer
            said.interrupt()
            await asyncio.wait_for(said.wait_for_playout(), 60)
            await asyncio.sleep(0.3)
            return of(sent, rtc.AudioFrame)[:whole], seconds_of(of(sent[cleared[0] :], rtc.AudioFrame))
        finally:
            await session.aclose()
            await face.aclose()

    first, late = asyncio.run(asyncio.wait_for(main(), 240))
    found = sound_of(first)
    sound = steps(RATE, [0.3, 0.6])
    begins = np.flatnonzero(found)[0]
    np.testing.assert_allclose(found[begins : begins + len(sound)], sound, atol=1e-3)
    assert late < 0.1
