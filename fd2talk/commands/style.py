"""`fd2talk style`: clip or motion -> style file; and what `--style` of the other commands means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fd2talk.commands.inputs import load_motion
from fd2talk.options import FaceChoice
from fd2talk.output import require_output
from fd2talk.terminal import announce
from fd2talk.track import video_motion
from shared.errors import InputError, UsageError
from shared.files import check_input
from shared.images import is_photo
from shared.motion import Motion

if TYPE_CHECKING:
    from shared.face_model import MorphableModel
    from stage1_motion.pipeline import MotionPipeline
    from stage1_motion.style import Style


def style(source: str, output: str, *, terms: str, weights: str, face: FaceChoice, overwrite: bool) -> None:
    """Write the speaking style of a face of a clip (by default the largest), or of a motion."""
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=(source,))
    check_input(source)

    from stage1_motion.pipeline import MotionPipeline  # takes seconds, after the inputs have been checked

    model = "diffposetalk" if weights == "bundled" else None
    pipeline = MotionPipeline.from_pretrained(weights, model=model)
    motion = _motion(source, pipeline.face_model, face)
    result = _named(source, lambda: pipeline.style_of(motion, source=Path(source).name, terms=terms))
    result.save(path, overwrite=overwrite)
    announce(path)


def read_style(value: str | None, pipeline: MotionPipeline) -> Style | None:
    """The style that an option names: a clip, a motion or style file, or a name; None: none is given.

    Raises:
        UsageError: the model takes no style, or there is none of that name.
        InputError: the file is none of these, or too short.
    """
    from stage1_motion.style import Style

    if value is None:
        return None
    if "style" not in pipeline.model.accepts:
        raise UsageError(f"the motion model {pipeline.name} takes no style; use --model diffposetalk")
    if not Path(value).suffix and not Path(value).exists():
        return pipeline.named_style(value)
    check_input(value)
    if Style.is_one(value):
        return Style.load(value)
    motion = _motion(value, pipeline.face_model, FaceChoice())
    return _named(value, lambda: pipeline.style_of(motion, source=Path(value).name))


def _motion(source: str, model: MorphableModel, face: FaceChoice) -> Motion:
    """A clip's motion, or that of a file."""
    if is_photo(source):
        raise InputError(f"{source} is a photo; a speaking style needs a clip of somebody who talks")
    if face or not source.lower().endswith(".npz"):
        return video_motion(source, model, face)
    return load_motion(source, model)


def _named(source: str, read: Callable[[], Style]) -> Style:
    """What `read` returns; its errors get the name of the file."""
    try:
        return read()
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
