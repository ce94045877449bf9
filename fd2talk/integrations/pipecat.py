"""Pipecat: a service behind text-to-speech that shows a portrait speaking with the pipeline's voice.

    Pipeline([transport.input(), stt, user_aggregator, llm, tts, face, transport.output(), assistant_aggregator])

Speech (`TTSAudioRawFrame`) goes in. Each 40 ms a picture comes out, followed by its sound while the portrait speaks.
Other frames keep their place behind the speech. The portrait listens to the user's sound.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fd2talk.integrations.paced import PacedFrames, float_sound, pcm
from fd2talk.live.portrait import LivePortrait
from shared.media import SAMPLE_RATE

try:
    from pipecat.audio.utils import create_stream_resampler
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InputAudioRawFrame,
        InterruptionFrame,
        OutputImageRawFrame,
        StartFrame,
        SystemFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection
    from pipecat.services.ai_service import AIService
    from pipecat.services.settings import ServiceSettings
except ImportError as error:
    raise ImportError(
        f"fd2talk.integrations.pipecat needs pipecat-ai ({error}): see docs/integrations.md", name="pipecat"
    ) from None

_DRAIN = 2.0
"""Seconds beyond the length of queued speech that the end of a pipeline waits for it."""


class PortraitVideoService(AIService):
    """A portrait that speaks with a pipeline's voice.

    Args:
        portrait: whose `sound_rate` is best that of the text-to-speech service. It is closed with the pipeline.
        sync_with_audio: pictures are queued with the sound in the output transport
            (`OutputImageRawFrame.sync_with_audio`); for transports with `video_out_is_live=False`. Otherwise set
            `video_out_is_live=True` and `video_out_framerate=25`.
        settings: arguments of pipecat's `AIService`.
    """

    def __init__(self, portrait: LivePortrait, *, sync_with_audio: bool = False, **settings: Any) -> None:
        super().__init__(settings=ServiceSettings(model=None), **settings)
        self._frames, self._sync = PacedFrames(portrait), sync_with_audio
        self._speech_rate, self._user_rate = (create_stream_resampler(clear_after_secs=None) for _ in range(2))
        self._task: asyncio.Task | None = None
        self._drained = asyncio.Event()

    def can_generate_metrics(self) -> bool:
        """Time from the start of speech to the first frame of it (TTFB)."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See pipecat's `FrameProcessor`."""
        await super().process_frame(frame, direction)
        if direction != FrameDirection.DOWNSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._speak(frame)
        elif isinstance(frame, InterruptionFrame):
            await self._interrupt(frame)
        else:
            if isinstance(frame, InputAudioRawFrame):
                await self._listen(frame)
            elif isinstance(frame, TTSStartedFrame):
                await self.start_ttfb_metrics()
            elif isinstance(frame, TTSStoppedFrame):
                self._frames.speak(float_sound(await self._speech_rate.flush(), 1))  # the rest in the resampler
                self._frames.portrait.end_of_speech()
            if self._frames.speaks and not isinstance(frame, (SystemFrame, EndFrame)):
                self._frames.mark(frame)  # it keeps its place behind the speech
            else:
                await self.push_frame(frame, direction)
            if isinstance(frame, StartFrame):  # must reach all processors first
                self._task = self.create_task(self._show())

    async def stop(self, frame: EndFrame) -> None:
        """Speak the rest, then end."""
        await super().stop(frame)
        if self._task is not None and self._frames.speaks:
            self._frames.portrait.end_of_speech()
            self._drained.clear()
            self._frames.mark(self._drained)
            try:
                await asyncio.wait_for(self._drained.wait(), self._frames.portrait.queued + _DRAIN)
            except asyncio.TimeoutError:
                pass  # the machine is too slow: end nevertheless
        await self._end()

    async def cancel(self, frame: CancelFrame) -> None:
        """End at once."""
        await super().cancel(frame)
        await self._end()

    async def cleanup(self) -> None:
        """Release what is left."""
        await super().cleanup()
        await self._end()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await self.cancel_task(task)
        await self._frames.aclose()

    async def _speak(self, frame: TTSAudioRawFrame) -> None:
        rate = self._frames.portrait.sound_rate
        samples = pcm(float_sound(frame.audio, frame.num_channels))
        self._frames.speak(float_sound(await self._speech_rate.resample(samples, frame.sample_rate, rate), 1))

    async def _listen(self, frame: InputAudioRawFrame) -> None:
        samples = pcm(float_sound(frame.audio, frame.num_channels))
        heard = await self._user_rate.resample(samples, frame.sample_rate, SAMPLE_RATE)
        self._frames.portrait.listen(float_sound(heard, 1))

    async def _interrupt(self, frame: InterruptionFrame) -> None:
        """Stop speaking without a fade-out, as the transport has dropped its queued sound anyway."""
        dropped = self._frames.interrupt(mute=True)
        await self._speech_rate.reset()
        await self.push_frame(frame)
        for held in dropped:
            if isinstance(held, Frame) and not getattr(held, "interruptible", True):
                await self.push_frame(held)

    async def _show(self) -> None:
        """Push pictures, sound, and the frames behind it, until cancelled."""
        try:
            async for frame in self._frames:
                height, width, _ = frame.image.shape
                picture = OutputImageRawFrame(image=frame.image.tobytes(), size=(width, height), format="RGB")
                picture.sync_with_audio = self._sync
                await self.push_frame(picture)
                if frame.speaking:
                    await self.stop_ttfb_metrics()
                    rate = self._frames.portrait.sound_rate
                    await self.push_frame(TTSAudioRawFrame(audio=pcm(frame.sound), sample_rate=rate, num_channels=1))
                for held in self._frames.due():
                    if isinstance(held, Frame):
                        await self.push_frame(held)
                    else:
                        held.set()
        except Exception as error:
            await self.push_error(error_msg=f"the portrait has stopped: {error}", exception=error)
