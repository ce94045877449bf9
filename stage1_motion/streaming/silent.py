"""Whole motions of a face that says nothing: idle, or listening to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.motion import Motion
from stage1_motion.decoding import eased_motion
from stage1_motion.interface import SamplingOptions, Subject
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.ease import ending
from stage1_motion.streaming.stream import joined

if TYPE_CHECKING:
    from shared.photo_fit import PhotoFit
    from stage1_motion.pipeline import MotionPipeline


def silent_motion(
    pipeline: MotionPipeline,
    samples: int,
    heard: np.ndarray | None,
    photo: PhotoFit | None,
    *,
    options: SamplingOptions = SamplingOptions(),
    progress: Callable[[int, int], None] | None = None,
    **further: Any,
) -> Motion:
    """A stream in silence, from beginning to end.

    Args:
        pipeline: which generates.
        samples: of silence.
        heard: float32 [samples], what the other one says meanwhile; None: nothing.
        photo: whose face moves.
        options: of the sampler.
        progress: called with (frames done, frames in all).
        further: arguments of `MotionPipeline.stream`.

    Returns:
        The frames that the samples cover; their sound is silence. A listener returns to the photo at the end, as a
        speaker does (`postprocessing.ease`), so that no nod is cut off.
    """
    if pipeline.model.unconditional and options.guidance is None:
        options = replace(options, guidance=0.0)
    stream, frames = pipeline.stream(photo, options=options, **further), frame_count(max(1, samples))
    parts = []
    for done in range(0, frames, round(FPS)):
        if heard is not None:
            start = round(done * SAMPLE_RATE / FPS)
            stream.listen(heard[start : start + SAMPLE_RATE])
        parts.append(stream.idle(min(round(FPS), frames - done)))
        if progress:
            progress(done, frames)
    motion = joined([*parts, stream.flush()])
    assert motion is not None and motion.audio is not None  # at least a frame
    if heard is None or not (pipeline.model.postprocessing & further.get("postprocessing", PostProcessing())).ease:
        return motion
    subject = Subject.of(photo, pipeline.face_model)
    poses = motion.expression, motion.rotation, motion.translation
    weights = ending(np.zeros(len(motion)))
    return eased_motion(pipeline.face_model, *poses, subject, weights, audio=motion.audio, source=motion.source)
