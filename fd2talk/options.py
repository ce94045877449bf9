"""Options that belong together, as the command line gives them to the commands; light, as `--help` imports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stage1_motion.interface import SamplingOptions
    from stage1_motion.postprocessing import PostProcessing


@dataclass(frozen=True)
class MotionOptions:
    """How motion is generated: keyword arguments of `MotionPipeline.__call__`, see there."""

    seed: int
    options: SamplingOptions
    postprocessing: PostProcessing
    still: bool


@dataclass(frozen=True)
class MotionModelOptions:
    """Which motion model, and whose way of speaking it gets.

    Args:
        model: of `stage1_motion.registry.BUNDLED`; None: that of the weights, or of the person.
        style: a clip, a motion file, a style file, or the name of a style that belongs to the weights; None: the
            weights' own.
        person: a folder of `fd2talk personalise`.
    """

    model: str | None
    style: str | None
    person: str | None = None

    @property
    def loading(self) -> dict[str, Any]:
        """Keyword arguments of `MotionPipeline.from_pretrained`."""
        return {"model": self.model, "person": self.person}


@dataclass(frozen=True)
class EditOptions:
    """What stays of a motion and what changes, as the command line gives it: see `stage1_motion.editing.request`.

    Args:
        keep: ranges FROM:TO in seconds, separated by commas, or None.
        keyframes: a file of keyframes, or None.
        every: seconds from one key as is to the next, or None.
        part: the parts that are generated.
        cut: ranges like those of `keep`.
        insert: TIME:FILE, sound that is inserted.
        unconditional: whether to generate without speech.
        preview: whether to draw the motion before and after.
    """

    keep: str | None
    keyframes: str | None
    every: float | None
    part: tuple[str, ...]
    cut: tuple[str, ...]
    insert: tuple[str, ...]
    unconditional: bool
    preview: bool


@dataclass(frozen=True)
class FaceChoice:
    """Which face of a photo, or of the first frame of a clip that shows so many.

    Args:
        index: its number in reading order, from 0; None for the largest.
        box: left, top, right and bottom of the face in pixels of the upright photo, for a face that is not detected.
        tracker: of photos, one of `shared.photo_fit.TRACKERS`.
    """

    index: int | None = None
    box: tuple[float, ...] | None = None
    tracker: str = "auto"

    def __bool__(self) -> bool:
        return (self.index, self.box) != (None, None)


@dataclass(frozen=True)
class Framing:
    """What the video shows of the photo: keyword arguments of `RenderPipeline.__call__`.

    Args:
        full: the whole photo; otherwise the square head crop.
        max_size: longest side of the video in pixels.
    """

    full: bool
    max_size: int


@dataclass(frozen=True)
class RendererOptions:
    """Which renderer, the precision of its networks, and the settings of the diffusion renderer.

    Args:
        name: of the renderer.
        precision: of its networks, one of `stage2_render.PRECISIONS`.
        steps: denoising steps; None is the number that the weights were tuned for.
        shared_noise: whether all frames start from the same noise.
    """

    name: str
    precision: str
    steps: int | None
    shared_noise: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `RenderPipeline.__call__`."""
        return {"steps": self.steps, "shared_noise": self.shared_noise}

    @property
    def loading(self) -> dict[str, str]:
        """Keyword arguments of `RenderPipeline.from_pretrained`."""
        return {"renderer": self.name, "precision": self.precision}


@dataclass(frozen=True)
class ExportOptions:
    """What a motion is written as.

    Args:
        morphs: morph targets of a mesh: "arkit", or "expression" for those of the face model.
        curves: of a table: "arkit" in the columns of Live Link Face, or "visemes" for Oculus' 15.
        fps: frames per second of curves; None keeps the motion's own.
        start_timecode: HH:MM:SS:FF.fff of the first frame of a Live Link Face table; None is zero.
        keep_expression: whether the expression of the resting face, such as a smile, is part of the curves.
    """

    morphs: str = "arkit"
    curves: str = "arkit"
    fps: float | None = None
    start_timecode: str | None = None
    keep_expression: bool = False
