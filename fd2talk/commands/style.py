"""`fd2talk style`: clip or motion -> style file; and what `--style` of the other commands means."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from fd2talk.commands.inputs import talking_motion
from fd2talk.options import FaceChoice
from fd2talk.output import require_output
from fd2talk.terminal import announce
from shared.errors import InputError, UsageError
from shared.files import check_input, new_folders

if TYPE_CHECKING:
    from stage1_motion.pipeline import MotionPipeline
    from stage1_motion.style import Style


def style(source: str, output: str, *, terms: str, weights: str, face: FaceChoice, overwrite: bool) -> None:
    """Write the speaking style of a face of a clip (by default the largest), or of a motion."""
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=(source,))
    check_input(source)

    from stage1_motion.pipeline import MotionPipeline  # takes seconds, after the inputs have been checked
    from stage1_motion.style import Style

    if Style.is_one(source):
        card = Style.load(source)
        terms = f", terms: {card.terms}" if card.terms else ""
        raise UsageError(f"{source} is a style file already (made from {card.source or 'what is not known'}{terms})")

    model = "diffposetalk" if weights == "bundled" else None
    pipeline = MotionPipeline.from_pretrained(weights, model=model)
    result = _style_of(source, pipeline, face, terms)
    with new_folders(path.parent):
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
    if not value:
        known = ", ".join(pipeline.style_names)
        raise UsageError(f"--style is empty: give a clip, a file or a name (there are: {known})")
    is_file = Path(value).suffix or os.path.exists(value)  # which takes any text, however long
    if value in pipeline.style_names or not is_file:  # a name wins over a file that is called so
        return pipeline.named_style(value)
    check_input(value)
    return pipeline.load_style(value) if Style.is_one(value) else _style_of(value, pipeline, FaceChoice())


def _style_of(source: str, pipeline: MotionPipeline, face: FaceChoice, terms: str = "") -> Style:
    """The style of a clip or of a motion file; a note says how many frames do not count."""
    motion = talking_motion(source, pipeline.face_model, face)
    if hidden := len(motion) - len(motion.seen()):
        warnings.warn(
            f"{source}: the style leaves out {hidden} of {len(motion)} frames, which show no face", stacklevel=2
        )
    try:
        return pipeline.style_of(motion, source=Path(source).name, terms=terms)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
