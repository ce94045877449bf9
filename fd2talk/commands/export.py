"""`fd2talk export` and `fd2talk import`: motion file <-> files of other programs."""

from __future__ import annotations

from fd2talk.commands.inputs import fit_photo, load_motion
from fd2talk.export.curves_file import read_curves
from fd2talk.export.writer import SUFFIXES, check_options, extent
from fd2talk.export.writer import export as write
from fd2talk.options import ExportOptions, FaceChoice
from fd2talk.output import require_output, save_motion
from fd2talk.terminal import announce, say
from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.files import check_input, new_folders
from shared.media import read_audio, read_image


def export(
    motion: str, output: str, *, photo: str | None, face: FaceChoice, options: ExportOptions, overwrite: bool
) -> None:
    """Write a motion in the format that the suffix of `output` names; see `fd2talk.export.writer`."""
    inputs = (motion, *([photo] if photo else ()))
    path = require_output(output, suffixes=SUFFIXES, overwrite=overwrite, inputs=inputs)
    check_options(path.suffix.lower(), photo is not None, options)
    if face and photo is None:
        raise UsageError("--face-index and --face-box choose a face of --photo")
    for file in inputs:
        check_input(file)
    model = load_bundled()
    moves = load_motion(motion, model)
    fitted = None if photo is None else fit_photo(model, photo, read_image(photo), face)
    with new_folders(path.parent):
        written = write(moves, path, photo=fitted, options=options, overwrite=overwrite)
    say(f"{written.path.name}: {written.content}", 0)
    announce(written.path)


def import_curves(curves: str, output: str, *, audio: str | None, fps: float | None, overwrite: bool) -> None:
    """Write the motion that a table of ARKit curves describes, with the sound of `audio`."""
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=(curves, audio))
    check_input(curves)
    result = read_curves(curves, fps=fps)
    if audio is not None:
        result.audio = read_audio(audio)
    save_motion(path, result, overwrite=overwrite)
    say(f"{path.name}: {extent(result)}", 0)
    announce(path)
