"""`fd2talk export`: motion file -> files of other programs."""

from __future__ import annotations

from fd2talk.commands.inputs import load_motion
from fd2talk.export.writer import export as write
from fd2talk.output import make_folder, require_output
from fd2talk.terminal import announce
from shared.face_model import load_bundled


def export(motion: str, output: str, *, overwrite: bool) -> None:
    """Write a motion in the format that the suffix of `output` names; see `fd2talk.export.writer`."""
    path = require_output(output, suffixes=(".glb", ".csv", ".obj", ".ply"), overwrite=overwrite, inputs=(motion,))
    moves = load_motion(motion, load_bundled())
    make_folder(path)
    write(moves, path, overwrite=overwrite)
    announce(path)
