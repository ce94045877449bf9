"""The pipelines, loaded once for all visitors."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fd2talk.pipelines import Pipelines
from shared.audio import SAMPLE_RATE
from shared.errors import Fd2TalkError
from shared.face_model import MorphableModel, load_bundled
from shared.images import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.registry import BUNDLED

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer
    from stage1_motion.pipeline import MotionPipeline
    from stage2_render.pipeline import RenderPipeline

RENDERERS = ("repair", "geometry")
"""The renderers that can be chosen; `diffusion` is not offered, as it takes minutes for a second of video."""


class Engine:
    """Both stages, loaded when they are first asked for, and kept. Safe to use from several threads.

    Args:
        weights: `bundled`, or a folder.
        device: for the networks.
        signer: signs the videos that are made, or None.
    """

    def __init__(self, weights: str | Path = "bundled", device: str = "cpu", signer: Signer | None = None) -> None:
        self._pipelines, self.signer = Pipelines(weights, device), signer
        self.tracking = threading.Lock()
        """Hold it while faces are detected or tracked: the tracker's networks are not thread-safe."""

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Motion models that can be chosen; the first is the default."""
        return BUNDLED if self._is_bundled else (self.speech_to_motion().name,)

    @property
    def _is_bundled(self) -> bool:
        return str(self._pipelines.weights) == "bundled"

    @property
    def face_model(self) -> MorphableModel:
        """The face model of all motions."""
        return load_bundled()

    def speech_to_motion(self, model: str | None = None) -> MotionPipeline:
        """Stage one with a motion model; a folder's weights have one. Raises as `MotionPipeline.from_pretrained`."""
        return self._pipelines.motion(**({"model": model or BUNDLED[0]} if self._is_bundled else {}))

    def renderer(self, name: str = RENDERERS[0]) -> RenderPipeline:
        """Stage two. Raises as `RenderPipeline.from_pretrained`."""
        return self._pipelines.renderer(renderer=name)

    def warm(self) -> None:
        """Load the default pipelines and run them once, so that the first visitor does not wait for it."""
        with suppress(Fd2TalkError):  # raised again for the visitor who needs it
            picture = read_image(bundled("demo") / "portrait_woman.jpg", max_side=256)
            with self.tracking:
                photo = PhotoFit.fit(picture, self.face_model)
            motion = self.speech_to_motion()(np.zeros(SAMPLE_RATE // 5, np.float32), photo=photo)
            for _ in self.renderer()(photo, motion, max_size=128):
                pass
            for model in self.models:
                self.speech_to_motion(model)
