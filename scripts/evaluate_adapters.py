r"""How well the adapters for voice agents keep up in real time: frames a second, delay, late pictures.

    .venv/bin/python scripts/evaluate_adapters.py --save-face out/face.npy      # where the face tracker has its models
    make test-integrations                                                # makes the environment of the frameworks
    .venv-integrations/bin/python scripts/evaluate_adapters.py --face out/face.npy --size 384

The bundled recordings are given in pieces of 100 ms, in real time, as a text-to-speech service does, with two seconds
of silence after each, to a pipeline of Pipecat and to a `PortraitVideo` of LiveKit Agents. Delay: from when the first
loud sample of a recording was given until the frame with it came out. Late: pictures that were an earlier one. Prints
Markdown. Nothing else should run meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import click
import numpy as np
from markdown_tables import print_head, print_row

from fd2talk.commands.benchmark import _processor
from fd2talk.integrations.paced import float_sound, pcm
from fd2talk.live.portrait import LivePortrait
from shared.face_model import load_bundled
from shared.media import SAMPLE_RATE, read_audio, read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled

_PHOTO = bundled("demo") / "portrait_woman.jpg"
_PIECE, _PAUSE, _LOUD = SAMPLE_RATE // 10, 2.0, 0.05

Say = Callable[[np.ndarray | None], Awaitable[None]]
"""Takes the next piece of speech; None: the utterance is complete."""


@click.command(help=__doc__)
@click.option("--save-face", metavar="FILE.npy", help="Track the bundled portrait, write its points, and end.")
@click.option("--face", metavar="FILE.npy", help="These points.")
@click.option("--size", default=512, show_default=True, help="Longer side of the pictures, pixels.")
@click.option("--seconds", default=40.0, show_default=True, help="Of each measurement.")
def main(save_face: str | None, face: str | None, size: int, seconds: float) -> None:
    image = read_image(_PHOTO)
    if save_face:
        np.save(save_face, PhotoFit.fit(image).landmarks)
        return
    if not face:
        raise click.UsageError("give --save-face or --face")
    photo = PhotoFit.from_landmarks(image, np.load(face), load_bundled())
    click.echo(f"{_processor()}, {size} pixels")
    print_head(["", "frames a second", "delay of each recording, s", "late pictures", "size at the end"])
    for name, measure in (("Pipecat", _pipecat), ("LiveKit Agents", _livekit)):
        portrait = LivePortrait.from_pretrained(photo, size=size, sound_rate=SAMPLE_RATE)
        given, came, pictures = asyncio.run(measure(portrait, seconds))
        figures = portrait.figures
        rate = (len(pictures) - 1) / (pictures[-1] - pictures[0])
        delays = [came_at - given_at for given_at, came_at in zip(_onsets(given), _onsets(came))]
        shown = ", ".join(f"{delay:.2f}" for delay in delays)
        print_row([name, f"{rate:.1f}", shown, f"{figures.late} of {figures.frames}", figures.width])


Timed = list[tuple[float, np.ndarray]]


def _onsets(pieces: Timed) -> list[float]:
    """When each recording began: the times of loud sound behind a pause."""
    found, last = [], -np.inf
    for at, piece in pieces:
        loud = np.flatnonzero(np.abs(piece) > _LOUD)
        if len(loud):
            if at - last > 0.75 * _PAUSE:
                found.append(at + loud[0] / SAMPLE_RATE)
            last = at
    return found


async def _speak(say: Say, seconds: float) -> Timed:
    """Give the recordings in real time: when each piece was given."""
    given: Timed = []
    ends = time.monotonic() + seconds
    for path in sorted(bundled("demo").glob("*.wav")):
        sound = read_audio(path)
        begun = time.monotonic()
        for start in range(0, len(sound), _PIECE):
            piece = sound[start : start + _PIECE]
            # A piece can be given when its last sample has been made; its first is as old as the piece is long.
            await asyncio.sleep(max(0.0, begun + (start + len(piece)) / SAMPLE_RATE - time.monotonic()))
            given.append((time.monotonic() - len(piece) / SAMPLE_RATE, piece))
            await say(piece)
        await say(None)
        await asyncio.sleep(_PAUSE)
        if time.monotonic() > ends:
            break
    return given


async def _pipecat(portrait: LivePortrait, seconds: float) -> tuple[Timed, Timed, list[float]]:
    from pipecat.frames.frames import (
        EndFrame,
        Frame,
        OutputImageRawFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    from fd2talk.integrations.pipecat import PortraitVideoService

    came: Timed = []
    pictures: list[float] = []

    class Sink(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, OutputImageRawFrame):
                pictures.append(time.monotonic())
            elif isinstance(frame, TTSAudioRawFrame):
                came.append((time.monotonic(), float_sound(frame.audio, 1)))
            await self.push_frame(frame, direction)

    pipeline = Pipeline([PortraitVideoService(portrait), Sink()])
    worker = PipelineWorker(pipeline, cancel_on_idle_timeout=False, enable_rtvi=False)
    started, speaks = asyncio.Event(), False
    worker.add_event_handler("on_pipeline_started", lambda *_: started.set())

    async def say(piece: np.ndarray | None) -> None:
        nonlocal speaks
        if not speaks:
            await worker.queue_frame(TTSStartedFrame())
        speaks = piece is not None
        sound = TTSAudioRawFrame(audio=pcm(piece), sample_rate=SAMPLE_RATE, num_channels=1) if speaks else None
        await worker.queue_frame(sound or TTSStoppedFrame())

    async def feed() -> Timed:
        await started.wait()
        await asyncio.sleep(2)  # the first frames are made
        given = await _speak(say, seconds)
        await worker.queue_frame(EndFrame())
        return given

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    _, given = await asyncio.gather(runner.run(), feed())
    return given, came, pictures


async def _livekit(portrait: LivePortrait, seconds: float) -> tuple[Timed, Timed, list[float]]:
    from livekit import rtc
    from livekit.agents.voice.avatar import AudioSegmentEnd

    from fd2talk.integrations.livekit import PortraitVideo

    face = PortraitVideo(portrait)
    came: Timed = []
    pictures: list[float] = []

    async def show(frames: AsyncIterator) -> None:
        async for frame in frames:
            if isinstance(frame, rtc.VideoFrame):
                pictures.append(time.monotonic())
            elif isinstance(frame, rtc.AudioFrame):
                came.append((time.monotonic(), float_sound(frame.data.cast("b"), 1)))

    async def say(piece: np.ndarray | None) -> None:
        if piece is None:
            await face.push_audio(AudioSegmentEnd())
        else:
            await face.push_audio(rtc.AudioFrame(pcm(piece), SAMPLE_RATE, 1, len(piece)))

    showing = asyncio.ensure_future(show(aiter(face)))
    await asyncio.sleep(2)
    given = await _speak(say, seconds)
    await face.aclose()
    await asyncio.wait_for(showing, 5)
    return given, came, pictures


if __name__ == "__main__":
    main()
