"""LiveKit Agents: a `VideoGenerator` that shows a portrait speaking with the agent's voice, in the agent's process.

    face = PortraitVideo(LivePortrait.from_pretrained("photo.jpg", sound_rate=24000))
    await face.start(session, ctx.room)

The agent's speech is queued for the portrait, and LiveKit's `AvatarRunner` publishes both tracks, sound and video. The
portrait listens to participants whose audio tracks are subscribed to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from fd2talk.integrations.paced import PacedFrames, float_sound, pcm
from fd2talk.live.portrait import LivePortrait
from shared.media import FPS, SAMPLE_RATE

try:
    from livekit import rtc
    from livekit.agents.voice.avatar import (
        AudioSegmentEnd,
        AvatarOptions,
        AvatarRunner,
        QueueAudioOutput,
        VideoGenerator,
    )
except ImportError as error:
    raise ImportError(
        f"fd2talk.integrations.livekit needs livekit-agents ({error}): see docs/integrations.md", name="livekit"
    ) from None

_LEAD = 0.02
"""Seconds of silence before speech, so that the sound track does not run dry between two frames."""


class PortraitVideo(VideoGenerator):
    """A portrait that speaks with an agent's voice.

    Args:
        portrait: closed by `aclose`. Its `sound_rate` is best that of the text-to-speech service.
    """

    def __init__(self, portrait: LivePortrait) -> None:
        self._frames, self._rate = PacedFrames(portrait), portrait.sound_rate
        self._resamplers: dict[int, rtc.AudioResampler] = {}
        self._runner: AvatarRunner | None = None
        self._room: Any = None
        self._tasks: set[asyncio.Task] = set()
        self._speaking = False

    @property
    def options(self) -> AvatarOptions:
        """Size and rates for `AvatarRunner`."""
        figures = self._frames.portrait.figures
        return AvatarOptions(figures.width, figures.height, FPS, self._rate, 1)

    # -- VideoGenerator -----------------------------------------------------------------------------------------------

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Speak a block of sound, of any rate, or end the segment."""
        if isinstance(frame, AudioSegmentEnd):
            for resampler in self._resamplers.values():
                self._speak(resampler.flush())
            self._resamplers.clear()
            self._frames.portrait.end_of_speech()
            self._frames.mark(frame)
            return
        mono = float_sound(frame.data.cast("b"), frame.num_channels)
        sound = rtc.AudioFrame(pcm(mono), frame.sample_rate, 1, len(mono))
        if frame.sample_rate == self._rate:
            self._speak([sound])
            return
        if frame.sample_rate not in self._resamplers:
            self._resamplers[frame.sample_rate] = rtc.AudioResampler(frame.sample_rate, self._rate)
        self._speak(self._resamplers[frame.sample_rate].push(sound))

    def _speak(self, frames: list[rtc.AudioFrame]) -> None:
        for frame in frames:
            self._frames.speak(float_sound(frame.data.cast("b"), 1))

    async def clear_buffer(self) -> None:
        """Stop speaking: waits until sound has faded out in the next frame; no end of segment is sent."""
        self._resamplers.clear()
        self._frames.interrupt(mute=False)
        if self._speaking:
            await self._frames.next_taken()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Yield a picture each 40 ms, followed by its sound while the portrait speaks, until `aclose`."""
        async for frame in self._frames:
            height, width, _ = frame.image.shape
            yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.image.tobytes())
            if frame.speaking:
                lead = np.zeros(0 if self._speaking else round(_LEAD * self._rate), np.float32)
                sound = np.concatenate([lead, frame.sound])
                yield rtc.AudioFrame(pcm(sound), self._rate, 1, len(sound))
            self._speaking = frame.speaking
            for end in self._frames.due():
                yield end

    # -- in a room ----------------------------------------------------------------------------------------------------

    async def start(self, session: Any, room: Any, *, listen: bool = True) -> AvatarRunner:
        """Publish the sound and video of a session to a room.

        Args:
            session: an `AgentSession`; call this before its `start`, and start it without audio output of its own.
            room: connected, or about to be.
            listen: whether the portrait listens to participants.

        Returns:
            The runner; `aclose` ends it.
        """
        audio = QueueAudioOutput(sample_rate=self._rate)
        self._runner = AvatarRunner(room, audio_recv=audio, video_gen=self, options=self.options)
        await self._runner.start()
        session.output.audio = audio
        if listen:
            self._room = room
            room.on("track_subscribed", self._on_track)
        return self._runner

    def listen(self, frame: rtc.AudioFrame) -> None:
        """Listen to a block of another speaker's sound, 16 kHz, in real time."""
        self._frames.portrait.listen(float_sound(frame.data.cast("b"), frame.num_channels))

    def _on_track(self, track: Any, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            task = asyncio.get_running_loop().create_task(self._follow(track))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _follow(self, track: Any) -> None:
        """Listen to a track until it ends."""
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
        try:
            async for event in stream:
                self.listen(event.frame)
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        """End the runner, if `start` made one, and close the portrait."""
        if self._room is not None:
            self._room.off("track_subscribed", self._on_track)
            self._room = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.aclose()
        await self._frames.aclose()
