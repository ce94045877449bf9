"""`fd2talk track`: video or photo -> motion file."""

from __future__ import annotations

from fd2talk.commands.inputs import driving_photo
from fd2talk.options import FaceChoice
from fd2talk.output import require_output, save_motion
from fd2talk.terminal import announce
from fd2talk.track import video_motion
from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.files import check_input
from shared.images import is_photo


def track(source: str, output: str, *, face: FaceChoice, overwrite: bool) -> None:
    """Write the motion of a face of a video (by default the largest), or the expression and pose of a photo's."""
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=(source,))
    check_input(source)
    model = load_bundled()
    if is_photo(source):
        result = driving_photo(source, model, face)
    elif face.tracker == "face-alignment":
        raise UsageError("--face-tracker face-alignment is for photos")
    else:
        result = video_motion(source, model, face)
    save_motion(path, result, overwrite=overwrite)
    announce(path)
