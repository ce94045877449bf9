"""A photo with the face model fitted to its face: the description of the person that both stages use."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from shared.errors import FaceNotFoundError, InputError, UsageError
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.detection import FaceBox, detect_faces
from shared.faces.face_alignment_tracker import face_alignment_mesh, is_installed, s3fd_faces
from shared.faces.occlusion import eyes_are_hidden, mouth_is_covered
from shared.faces.tracker import choose_face, track_face, track_photo

TRACKERS = ("auto", "mediapipe", "face-alignment")

# Beyond this turn of the head one side of the face is hidden, and no renderer of this project can synthesise it.
MAX_YAW_DEGREES = 50.0
# Mean residual in mm of a fit that may be of an upside-down face: .2 to .4 the right way up, .5 to 2.7 the wrong one.
# The other way up is right where it makes the residual smaller by this factor.
_POOR_FIT, _BETTER = 0.45, 0.6


def faces_of(image: np.ndarray, tracker: str = "auto") -> list[FaceBox]:
    """Return the faces of a photo in reading order, numbered as the `face_index` of `PhotoFit.fit` numbers them.

    Args:
        image: uint8 [H, W, 3].
        tracker: one of `TRACKERS`.

    Raises:
        InputError: none is found.
        UsageError: the package face-alignment or its weights are missing.
    """
    boxes: list[FaceBox] = []
    if tracker != "face-alignment":
        try:
            if boxes := detect_faces(image, upside_down=True):
                return boxes
            points = track_photo(image)[:468, :2]  # in drawings the mesh network often finds what the detectors miss
            return [FaceBox(*points.min(0), *points.max(0))]
        except FaceNotFoundError:
            if not _asks_second(tracker):
                raise
    if not (boxes := s3fd_faces(image)):
        raise FaceNotFoundError
    return boxes


def is_poor_fit(landmarks: np.ndarray, model: MorphableModel) -> bool:
    """Return whether a mesh [478, 3] in pixels may be that of an upside-down face, with its mouth on the forehead."""
    return _misfit(fit(model, Crop.around(landmarks).to_crop(landmarks)[None]).residual[0]) > _POOR_FIT


def _misfit(residual: np.ndarray) -> float:
    """Mean length of a residual [478, 3] in mm."""
    return float(np.linalg.norm(residual, axis=-1).mean())


def _asks_second(tracker: str) -> bool:
    """Whether the package face-alignment is asked where mediapipe finds nothing."""
    return tracker == "face-alignment" or (tracker == "auto" and is_installed())


@dataclass
class PhotoFit:
    """A photo and the face model fitted to it.

    Attributes:
        image: uint8 [H, W, 3].
        landmarks: float32 [478, 3] in pixels.
        crop: the head crop.
        model: the face model of the coefficients.
        identity: [D_id].
        expression: [D].
        rotation: [3].
        translation: [3].
        residual: [478, 3] in mm, the part of this face that the model does not express; with it the mesh of the photo
            is reproduced exactly.
    """

    image: np.ndarray
    landmarks: np.ndarray
    crop: Crop
    model: MorphableModel
    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    residual: np.ndarray

    @classmethod
    def fit(
        cls,
        image: np.ndarray,
        model: MorphableModel | None = None,
        *,
        face_index: int | None = None,
        face_box: tuple[float, float, float, float] | None = None,
        tracker: str = "auto",
    ) -> PhotoFit:
        """Detect the face of a photo and fit the model.

        Args:
            image: uint8 [H, W, 3].
            model: the face model; None is the bundled one.
            face_index: its number among the faces in reading order (`fd2talk faces` shows them); None: the largest.
            face_box: left, top, right, bottom in pixels, for faces that the detector misses.
            tracker: one of `TRACKERS`; auto: the package face-alignment, if it is installed, where mediapipe finds
                nothing.

        Raises:
            InputError: no photo, no face, too small a face, or a face in profile.
            UsageError: no such tracker, or the package face-alignment or its weights are missing.
        """
        if tracker not in TRACKERS:
            raise UsageError(f"unknown face tracker {tracker!r}; available: {', '.join(TRACKERS)}")
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError("a photo is an array uint8 [H, W, 3], as `read_image` returns it for a file")
        model, box = model or load_bundled(), None
        try:
            if tracker == "face-alignment":
                raise FaceNotFoundError
            box = choose_face(image, face_index, face_box, warn=True)
            fitted = cls._either_way_up(image, model, box)
        except FaceNotFoundError as nothing:
            if not _asks_second(tracker):
                raise
            try:
                if face_index is None or box is None or not box.score:  # else it is the one of that number
                    box = choose_face(image, face_index, face_box, detect=s3fd_faces)
                fitted = cls.from_landmarks(image, face_alignment_mesh(image, box, model), model)
            except UsageError as error:
                if tracker == "face-alignment":
                    raise
                raise InputError(f"{nothing}; {error}") from error
        if mouth_is_covered(image, fitted.landmarks):
            warnings.warn(
                "the mouth seems to be covered (mask, microphone, hand): lips move on top of it", stacklevel=2
            )
        return fitted

    @classmethod
    def _either_way_up(cls, image: np.ndarray, model: MorphableModel, box: FaceBox) -> PhotoFit:
        """Fit the face in a box, and turned by 180 degrees where that fits better."""
        upright: PhotoFit | InputError
        try:
            upright = cls.from_landmarks(image, track_face(image, box), model)
            if upright.misfit <= _POOR_FIT:
                return upright
        except InputError as error:
            upright = error
        most = _POOR_FIT if isinstance(upright, InputError) else _BETTER * upright.misfit
        with suppress(InputError):
            other = cls.from_landmarks(image, track_face(image, box, upside_down=True), model)
            if other.misfit < most:
                warnings.warn("the face of the photo is upside down (turn the photo first?)", stacklevel=2)
                return other
        if isinstance(upright, InputError):
            raise upright
        return upright

    @classmethod
    def from_landmarks(cls, image: np.ndarray, landmarks: np.ndarray, model: MorphableModel) -> PhotoFit:
        """Fit the model to tracked landmarks [478, 3] in pixels.

        Raises:
            InputError: the face is in profile.
        """
        crop = Crop.around(landmarks)
        result = fit(model, crop.to_crop(landmarks)[None])
        # The head is turned by the yaw first: its angle does not depend on which way up the face is.
        yaw = abs(Rotation.from_rotvec(result.rotation[0]).as_euler("ZXY", degrees=True)[2])
        if yaw > MAX_YAW_DEGREES:
            raise InputError(
                f"the face is turned {yaw:.0f} degrees to the side; at most {MAX_YAW_DEGREES:.0f} are supported"
            )
        of_frame = {name: getattr(result, name)[0] for name in ("expression", "rotation", "translation", "residual")}
        return cls(image=image, landmarks=landmarks, crop=crop, model=model, identity=result.identity, **of_frame)

    @property
    def misfit(self) -> float:
        """Mean length of the residual in mm."""
        return _misfit(self.residual)

    @cached_property
    def eyes_hidden(self) -> bool:
        """Whether dark glasses hide the eyes, which then do not blink."""
        return eyes_are_hidden(self.image, self.landmarks)

    def vertices(self, expression: np.ndarray) -> np.ndarray:
        """Return the person's mesh [..., 478, 3] in mm, without pose, under an expression [..., D]."""
        return self.model.vertices(self.identity, expression) + self.residual

    def vertices_px(self, expression: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Return the mesh [..., 478, 3] under an expression and a pose, in pixels (z negative towards the camera)."""
        return self.crop.to_pixels(project(self.vertices(expression), rotation, translation))
