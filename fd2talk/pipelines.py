"""A cache of pipelines of both stages, loaded on first use."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fd2talk.recent import Recent
from stage2_render.pipeline import RenderPipeline

if TYPE_CHECKING:
    from stage1_motion.pipeline import MotionPipeline


class Pipelines:
    """Pipelines of one folder of weights on one device. Thread-safe; threads wait while one loads.

    Args:
        weights: `bundled`, or a folder.
        device: for the networks.
        most: number of cached pipelines of each stage, the recently used ones; None: all.
    """

    def __init__(self, weights: str | Path = "bundled", device: str = "cpu", most: int | None = None) -> None:
        self.weights, self._device = weights, device
        self._recent, self._lock = Recent(most), threading.RLock()

    def motion(self, **loading: Any) -> MotionPipeline:
        """Stage one.

        Args:
            loading: keyword arguments of `MotionPipeline.from_pretrained`, such as `model`, whose errors are raised.
        """
        from stage1_motion.pipeline import MotionPipeline  # takes seconds, so that inputs can be checked before

        return self._kept(MotionPipeline, loading)

    def renderer(self, **loading: Any) -> RenderPipeline:
        """Stage two.

        Args:
            loading: keyword arguments of `RenderPipeline.from_pretrained`, such as `renderer`, whose errors are raised.
        """
        return self._kept(RenderPipeline, loading)

    def _kept(self, stage: Any, loading: dict[str, Any]) -> Any:
        with self._lock:
            return self._recent.kept(
                stage.__name__,
                tuple(sorted(loading.items())),
                lambda: stage.from_pretrained(self.weights, **loading, device=self._device),
            )
