"""The face in real pipelines of Pipecat; nothing is faked but the wire."""

import asyncio
import threading
import time

import numpy as np
import pytest
from live_portraits import (
    drawn_photo,
    imports_of_the_docs,
    late_frames,
    level_of,
    onsets,
    steps,
    stood_still,
    telling_portrait,
    undisturbed,
)

pytest.importorskip("pipecat", reason="needs pipecat-ai: make test-integrations")

from pipecat.frames.frames import (  # noqa: E402
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # noqa: E402
from pipecat.transports.base_output import BaseOutputTransport  # noqa: E402
from pipecat.transports.base_transport import TransportParams  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

from fd2talk.integrations.paced import float_sound, pcm  # noqa: E402
from fd2talk.integrations.pipecat import PortraitVideoService  # noqa: E402

RATE = 24000


class Sink(FrameProcessor):
    """Keeps what comes downstream, with its time."""

    def __init__(self):
        super().__init__()
        self.got = []

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if direction == FrameDirection.DOWNSTREAM:
            self.got.append((time.monotonic(), frame))
        await self.push_frame(frame, direction)

    def of(self, kind):
        return [frame for _, frame in self.got if isinstance(frame, kind)]


class Wire(BaseOutputTransport):
    """An output transport whose wire is a list: as a sound card, it takes sound in real time."""

    def __init__(self, **params):
        out = {"audio_out_enabled": True, "video_out_enabled": True, "video_out_framerate": 25}
        super().__init__(TransportParams(audio_out_sample_rate=RATE, **out, **params))
        self.sound, self.pictures, self._free, self.loud = [], [], 0.0, 0

    async def start(self, frame):
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self._free = max(self._free, time.monotonic())
        self.sound.append((self._free, frame))
        self._free += frame.num_frames / frame.sample_rate
        self.loud += np.count_nonzero(np.frombuffer(frame.audio, "<i2"))
        await asyncio.sleep(max(0.0, self._free - time.monotonic() - 0.02))
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.pictures.append((time.monotonic(), frame))
        return True


def run(work, sound_rate=RATE, output=None, portrait=None, **settings):
    """Run `work(worker, sink, stream)` in a pipeline of the face and a sink (or a transport) behind it.

    Returns:
        The sink; its `late` are the frames that were late.
    """
    sink = output or Sink()

    async def main():
        made, stream = telling_portrait(sound_rate) if portrait is None else (portrait(), None)
        sink.late = late_frames(made)
        service = PortraitVideoService(made, **settings)
        params = PipelineParams(audio_out_sample_rate=RATE, enable_metrics=True)
        worker = PipelineWorker(
            Pipeline([service, sink]), params=params, cancel_on_idle_timeout=False, enable_rtvi=False
        )
        started = asyncio.Event()
        worker.add_event_handler("on_pipeline_started", lambda *_: started.set())
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)

        async def feed():
            await asyncio.wait_for(started.wait(), 60)
            await work(worker, sink, stream)
            await worker.queue_frame(EndFrame())

        await asyncio.wait_for(asyncio.gather(runner.run(), feed()), 240)

    asyncio.run(main())
    alive = [thread.name for thread in threading.enumerate() if thread.name.startswith("live")]
    assert not alive
    return sink


def speech(sound, rate=RATE, size=0.1):
    """Frames of text-to-speech, all at once."""
    count = round(size * rate)
    pieces = [sound[start : start + count] for start in range(0, len(sound), count)]
    audio = [TTSAudioRawFrame(audio=pcm(piece), sample_rate=rate, num_channels=1) for piece in pieces]
    return [TTSStartedFrame(), *audio, TTSStoppedFrame()]


async def send(worker, frames):
    for frame in frames:
        await worker.queue_frame(frame)


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The end of a pipeline waits for all that is to be said, however slow the machine is."""
    monkeypatch.setattr("fd2talk.integrations.pipecat._DRAIN", 60.0)


def heard(frames):
    return np.concatenate([float_sound(frame.audio, 1) for frame in frames])


def test_sound_and_picture_of_one_frame_come_together_and_all_of_the_sound_comes():
    sound = steps(RATE, [0.2, 0.6, 0.4, 0.8])

    async def work(worker, sink, _):
        await send(worker, speech(sound))

    sink = run(work)
    pairs = 0
    for (_, frame), (_, behind) in zip(sink.got, sink.got[1:]):
        if isinstance(behind, TTSAudioRawFrame):
            assert isinstance(frame, OutputImageRawFrame)
            assert behind.num_frames == RATE // 25 and behind.sample_rate == RATE
            assert frame.size == (64, 32) and frame.format == "RGB" and len(frame.image) == 64 * 32 * 3
            level = level_of(np.frombuffer(frame.image, np.uint8))
            wanted = np.sqrt(np.square(heard([behind])).mean())
            pairs += abs(level - wanted) < 0.02  # the stand-in's motion is heard at 16 kHz
    audio = sink.of(TTSAudioRawFrame)
    assert len(audio) >= 20 and pairs >= len(audio) - 4 - len(sink.late)  # those of half a frame of sound
    found = heard(audio)
    begins = np.flatnonzero(found)[0]
    np.testing.assert_allclose(found[begins : begins + len(sound)], sound, atol=1e-3)


def test_pictures_come_in_real_time_without_speech():
    async def work(worker, sink, _):
        await until(lambda: len(sink.of(OutputImageRawFrame)) > 30)

    sink = run(work)
    times = [moment for moment, frame in sink.got if isinstance(frame, OutputImageRawFrame)]
    assert times[-1] - times[0] > (len(times) - 1) / 25 - 0.5  # never faster; the clock itself: test_paced.py
    assert not sink.of(TTSAudioRawFrame)


def test_what_follows_speech_stays_behind_it():
    async def work(worker, sink, _):
        await send(worker, [TextFrame("before"), *speech(steps(RATE, [0.3])), TextFrame("between")])
        await send(worker, speech(steps(RATE, [0.7])))

    sink = run(work)
    order = []
    for _, frame in sink.got:
        if isinstance(frame, TTSAudioRawFrame):
            order += [round(heard([frame]).max(), 1)]
        elif isinstance(frame, (TextFrame, TTSStartedFrame, TTSStoppedFrame, EndFrame)):
            order += [getattr(frame, "text", type(frame).__name__)]
    steps_of = [item for index, item in enumerate(order) if index == 0 or order[index - 1] != item]
    loud = [item for item in steps_of if not (isinstance(item, float) and item not in (0.3, 0.7))]
    # The second start waits for the first speech, whose last frame has some of the second speech in it, too.
    assert loud[:2] == ["before", "TTSStartedFrame"] and loud[-2:] == ["TTSStoppedFrame", "EndFrame"]
    assert (
        loud.index(0.3) < loud.index("TTSStoppedFrame") < loud.index("between") < len(loud) - 1 - loud[::-1].index(0.7)
    )


def test_an_interruption_silences_within_100_ms_and_what_was_waiting_is_dropped():
    counts = {}

    async def work(worker, sink, _):
        frames = speech(steps(RATE, [0.5], 4.0))
        call = FunctionCallResultFrame(function_name="f", tool_call_id="1", arguments={}, result="")
        await send(worker, [*frames, TextFrame("dropped"), call])
        await until(lambda: len(sink.of(TTSAudioRawFrame)) > 10)
        await worker.queue_frame(InterruptionFrame())
        await until(lambda: sink.of(InterruptionFrame))
        await asyncio.sleep(0.4)
        counts["again"] = len(sink.got)
        await send(worker, speech(steps(RATE, [0.8], 0.3)))

    sink = run(work)
    at = next(number for number, (_, frame) in enumerate(sink.got) if isinstance(frame, InterruptionFrame))
    late = [frame for _, frame in sink.got[at : counts["again"]] if isinstance(frame, TTSAudioRawFrame)]
    assert len(late) * 0.04 < 0.1
    assert not [frame for frame in sink.of(TextFrame) if frame.text == "dropped"]
    assert len(sink.of(TTSStoppedFrame)) == 1 and len(sink.of(FunctionCallResultFrame)) == 1
    again = [frame for _, frame in sink.got[counts["again"] :] if isinstance(frame, TTSAudioRawFrame)]
    assert heard(again).max() == pytest.approx(0.8, abs=1e-3) and 0.28 < len(heard(again)) / RATE < 0.4
    positions = [index for index, (_, frame) in enumerate(sink.got) if isinstance(frame, InterruptionFrame)]
    assert len(positions) == 1


@pytest.mark.parametrize("rate", [16000, 44100])
def test_other_rates_are_resampled_whole(rate):
    sound = np.sin(2 * np.pi * 220 * np.arange(rate) / rate).astype(np.float32) / 2

    async def work(worker, sink, _):
        await send(worker, speech(sound, rate))

    found = heard(run(work).of(TTSAudioRawFrame))
    loud = np.flatnonzero(np.abs(found) > 0.02)
    assert abs((loud[-1] - loud[0]) / RATE - 1) < 0.01
    assert np.sqrt(np.square(found[loud[0] : loud[-1]]).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_the_user_is_listened_to_and_heard_by_others_too():
    listened = []

    async def work(worker, sink, stream):
        for _ in range(50):
            piece = np.full(320, 0.25, np.float32)
            await worker.queue_frame(InputAudioRawFrame(audio=pcm(piece), sample_rate=16000, num_channels=1))
        await until(lambda: sum(map(len, stream.heard)) >= 15000)
        listened.extend(stream.heard)

    sink = run(work)
    np.testing.assert_allclose(np.concatenate(listened), 0.25, atol=1e-3)
    assert len(sink.of(InputAudioRawFrame)) == 50


def test_a_pipeline_that_is_cancelled_leaves_no_threads():
    async def work(worker, sink, _):
        await send(worker, speech(steps(RATE, [0.5], 20.0)))
        await until(lambda: sink.of(TTSAudioRawFrame))
        await worker.cancel()

    assert len(run(work).of(TTSAudioRawFrame)) < 10 * 25


def test_time_to_the_first_frame_is_measured():
    async def work(worker, sink, _):
        await asyncio.sleep(0.3)
        await send(worker, speech(steps(RATE, [0.5])))

    found = [
        data for frame in run(work).of(MetricsFrame) for data in frame.data if type(data).__name__ == "TTFBMetricsData"
    ]
    times = [data.value for data in found if data.value and "Portrait" in data.processor]
    assert times and 0.05 < times[-1] < 30


@pytest.mark.parametrize("sync", [False, True])
def test_an_output_transport_shows_the_picture_of_what_it_plays(sync):
    """Through Pipecat's own queues: the picture that is shown belongs to the sound that is played, within 80 ms.

    Pipecat draws pictures on a grid of 40 ms of its own.
    """
    sound = steps(RATE, 6 * [0.2, 0.8] + [0.2, 0.9], 0.24)
    events, held_up = [], []

    async def work(worker, wire, _):
        worker.set_reached_upstream_filter((BotStartedSpeakingFrame, BotStoppedSpeakingFrame))
        worker.add_event_handler("on_frame_reached_upstream", lambda _, frame: events.append(type(frame)))
        await asyncio.sleep(0.4)
        await send(worker, speech(sound))
        await until(lambda: wire.loud > 0.95 * len(sound) and events and events[-1] is BotStoppedSpeakingFrame)

    async def watched(*given):
        held_up.append((await stood_still(work(*given)))[1])

    def once():
        events.clear()
        output = Wire(video_out_is_live=not sync, video_out_width=64, video_out_height=32)
        return run(watched, output=output, sync_with_audio=sync), held_up[-1]

    wire = undisturbed(once)
    played = np.concatenate([begin + np.arange(frame.num_frames) / RATE for begin, frame in wire.sound])
    played = played[np.round(onsets(heard([frame for _, frame in wire.sound]), RATE) * RATE).astype(int)]
    levels = [(moment, level_of(np.frombuffer(frame.image, np.uint8))) for moment, frame in wire.pictures]
    shown = [moment for (_, before), (moment, now) in zip(levels, levels[1:]) if before < 0.5 < now]
    apart = np.array([np.abs(played - moment).min() for moment in shown])
    assert len(played) == 7 and len(shown) >= 6 and np.median(apart) < 0.085, apart
    assert max(now for _, now in levels) == pytest.approx(0.9, abs=0.02)
    assert events[:2] == [BotStartedSpeakingFrame, BotStoppedSpeakingFrame]


def test_the_real_portrait_speaks_with_its_lips():
    """Bundled weights, a drawn face: the pictures of speech differ, those before it hardly do."""
    from fd2talk.live.portrait import LivePortrait
    from shared.media import read_audio
    from shared.weights import bundled

    sound = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[: 16000 * 2]

    def portrait():
        return LivePortrait.from_pretrained(drawn_photo(), renderer="geometry", size=128)

    async def work(worker, sink, _):
        await until(lambda: len(sink.of(OutputImageRawFrame)) > 25)
        await send(worker, speech(sound, 16000))

    sink = run(work, portrait=portrait)
    found = heard(sink.of(TTSAudioRawFrame))
    lag = int(np.argmax(np.correlate(found, sound[:16000], "valid")))
    np.testing.assert_allclose(found[lag : lag + len(sound)], sound, atol=2e-3)
    changes, spoken = [], []
    pictures = [(index, frame) for index, (_, frame) in enumerate(sink.got) if isinstance(frame, OutputImageRawFrame)]
    for (_, before), (index, frame) in zip(pictures, pictures[1:]):
        mouth = [
            np.frombuffer(f.image, np.uint8).reshape(128, 128, 3)[75:110, 44:84].astype(int) for f in (before, frame)
        ]
        changes.append(np.abs(mouth[1] - mouth[0]).mean())
        spoken.append(index + 1 < len(sink.got) and isinstance(sink.got[index + 1][1], TTSAudioRawFrame))
    changes, spoken = np.array(changes), np.array(spoken)
    assert changes[spoken].mean() > 3 * changes[:20].mean()


def test_the_example_of_the_docs_names_what_there_is():
    assert imports_of_the_docs("pipecat")["PortraitVideoService"] is PortraitVideoService
