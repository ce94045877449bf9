"""Prepared clips and motion models for scripts that measure: a clip's style does not come from what is measured."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from fd2talk.evaluation.inputs.held_out_style import style_source
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.prepared import load_motions, read_index
from stage1_motion.interface import Subject
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.registry import BUNDLED
from stage1_motion.style import Style

EXISTING = click.Path(exists=True, path_type=Path)
MODEL_HELP = f"Motion model: {' or '.join(BUNDLED)}, as bundled, or a folder of weights."
prepared_option = click.option(
    "--prepared", type=EXISTING, default=".cache/prepared", show_default=True, help="Prepared clips."
)


def load_model(model: str) -> MotionPipeline:
    """A bundled motion model, or that of a folder of weights."""
    return MotionPipeline.from_pretrained(
        *([] if model in BUNDLED else [model]), model=model if model in BUNDLED else None
    )


def seed_of(clip: str, index: int) -> int:
    """Another seed for every clip and sample: one noise for all clips would need many samples."""
    return zlib.crc32(f"{clip} {index}".encode())


@dataclass(frozen=True)
class HeldOut:
    """A clip and the motion that its style is read from.

    Args:
        name: of the clip.
        person: who speaks.
        motion: as tracked, with sound.
        source: see `style_source`.
        first: the frame from which on the clip is measured.
    """

    name: str
    person: str
    motion: Motion
    source: Motion | None
    first: int

    def style(self, pipeline: MotionPipeline) -> Style | None:
        """The style, for models that take one."""
        if self.source is None or "style" not in pipeline.model.accepts:
            return None
        return pipeline.style_of(self.source)

    def subject(self, model: MorphableModel, expression: np.ndarray) -> Subject:
        """The person of the clip, with the expression [D] and the pose of its first frame."""
        identity = self.motion.identity
        assert identity is not None  # prepared motions have one
        template, vertices = model.vertices(identity, 0 * expression), model.vertices(identity, expression)
        pose = self.motion.rotation[0], self.motion.translation[0]
        return Subject(identity, expression, *pose, template, float(lip_gap(vertices)), float(lid_gap(vertices)))


def held_out_clips(
    prepared: Path, split: str, model: MorphableModel, keep: Callable[[str], bool] = lambda person: True
) -> list[HeldOut]:
    """The clips with usable sound of a split, of the people whom `keep` accepts by name."""
    rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] == "ok"]
    rows = [row for row in rows if keep(row["person"])]
    motions, found = load_motions(prepared, rows, model), []
    for row in rows:
        own, person = motions[row["name"]], row["person"]
        others = [motions[other["name"]] for other in rows if other["person"] == person and other is not row]
        first = 0 if others else len(own) // 2
        found.append(HeldOut(row["name"], person, own, style_source(own, others), first))
    return found
