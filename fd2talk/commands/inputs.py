"""What several commands check and read before they load models."""

from __future__ import annotations

import warnings
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fd2talk.options import FaceChoice
from fd2talk.progress import progress
from fd2talk.track import photo_motion, video_motion
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel
from shared.files import check_input
from shared.images import is_photo
from shared.media import read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.upright import quarter_turns, turned

# Within these a table of curves names them.
_HEADER_BYTES = 4096
# Longest side in pixels above which the search for faces may take half a minute.
_LONG_SEARCH = 4000


def load_motion(path: str, model: MorphableModel) -> Motion:
    """Read a motion file; the motion of a video or a photo in its place is tracked, with a note.

    Raises:
        InputError: none of them, such as a table of curves, or no face in it.
    """
    with check_input(path).open("rb") as file:
        if is_motion_file(path):
            return Motion.load(path)
        file.seek(0)
        if b"jawopen" in file.read(_HEADER_BYTES).lower():
            raise InputError(f"{path} is a table of curves, no motion file; make one with `fd2talk import`")
    try:
        if is_photo(path):
            motion, kind = driving_photo(path, model, FaceChoice()), "photo"
        else:
            motion, kind = video_motion(path, model), "video"
    except InputError as error:
        raise InputError(f"not a motion file, and no face of it could be tracked: {error}") from error
    warnings.warn(f"{path} is a {kind}, no motion file: its largest face is tracked", stacklevel=2)
    return motion


def talking_motion(path: str, model: MorphableModel, face: FaceChoice) -> Motion:
    """Return the motion of somebody who talks: of a face of a clip (by default the largest), or of a motion file.

    Raises:
        InputError: as `load_motion`, or it is a photo.
        UsageError: a choice of faces that has no meaning for the file.
    """
    if is_photo(path):
        raise InputError(f"{path} is a photo; a clip of somebody who talks is needed")
    if is_motion_file(path):
        if face:
            raise UsageError(f"{path} is a motion file, which has no faces to choose from")
        return load_motion(path, model)
    if face.tracker == "face-alignment":
        raise UsageError("--face-tracker face-alignment is for photos")
    return video_motion(path, model, face)


def is_motion_file(path: str) -> bool:
    """Whether a file is no clip but arrays, by its name or contents."""
    return path.lower().endswith((".npz", ".npy")) or zipfile.is_zipfile(path)


def driving_photo(path: str, model: MorphableModel, face: FaceChoice) -> Motion:
    """Return the expression and pose of a photo as motion for other faces; an upside-down photo is turned.

    Raises:
        InputError: as `fit_photo`.
    """
    photo = fit_photo(model, path, read_image(path), face)
    if quarter_turns(photo) == 2:
        photo = turned(photo, 2)
        photo = PhotoFit.from_landmarks(photo.image, photo.landmarks, model)  # its crop is that of an upright face
    return photo_motion(photo, path)


def fit_photo(model: MorphableModel, path: str, image: np.ndarray, face: FaceChoice) -> PhotoFit:
    """Fit the face of a photo.

    Args:
        model: the face model.
        path: of the photo, for messages.
        image: uint8 [H, W, 3], as `read_image` returns it for this path.
        face: with its box in pixels of the file, of which `read_image` may have reduced the size.

    Raises:
        InputError: as `PhotoFit.fit`, with the file's name.
    """
    box = face.box
    if box is not None:
        with Image.open(path) as file:  # the longer side is the same in every orientation
            scale = max(image.shape[:2]) / max(file.size)
            left, top, right, bottom = (value * scale for value in box)
            box = left, top, right, bottom
    try:
        with searching(image):
            return PhotoFit.fit(image, model, face_index=face.index, face_box=box, tracker=face.tracker)
    except InputError as error:
        raise InputError(f"{Path(path)}: {error}") from error


def searching(image: np.ndarray) -> AbstractContextManager[Any]:
    """While this is open, it is said that faces are looked for; only of a picture in which that takes long."""
    return progress(None, "looking for faces", "face") if max(image.shape[:2]) > _LONG_SEARCH else nullcontext()
