"""A photo with the face model fitted to its face: the description of the person that both stages use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.tracker import track_photo

# Beyond this turn of the head one side of the face is hidden, and no renderer of this project can synthesise it.
MAX_YAW_DEGREES = 50.0


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
    ) -> PhotoFit:
        """Detect the face of a photo and fit the model.

        Args:
            image: uint8 [H, W, 3].
            model: the face model; None is the bundled one.
            face_index: which face, 0 is the largest.
            face_box: left, top, right, bottom in pixels, for faces that the detector misses.

        Raises:
            InputError: no face, too small a face, or a face in profile.
        """
        landmarks = track_photo(image, face_index=face_index, face_box=face_box)
        return cls.from_landmarks(image, landmarks, model or load_bundled())

    @classmethod
    def from_landmarks(cls, image: np.ndarray, landmarks: np.ndarray, model: MorphableModel) -> PhotoFit:
        """Fit the model to tracked landmarks [478, 3] in pixels.

        Raises:
            InputError: the face is in profile.
        """
        crop = Crop.around(landmarks)
        result = fit(model, crop.to_crop(landmarks)[None])
        yaw = np.degrees(abs(result.rotation[0, 1]))
        if yaw > MAX_YAW_DEGREES:
            raise InputError(
                f"the face is turned {yaw:.0f} degrees to the side; at most {MAX_YAW_DEGREES:.0f} are supported"
            )
        of_frame = {name: getattr(result, name)[0] for name in ("expression", "rotation", "translation", "residual")}
        return cls(image=image, landmarks=landmarks, crop=crop, model=model, identity=result.identity, **of_frame)

    def vertices(self, expression: np.ndarray) -> np.ndarray:
        """Return the person's mesh [..., 478, 3] in mm, without pose, under an expression [..., D]."""
        return self.model.vertices(self.identity, expression) + self.residual

    def vertices_px(self, expression: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Return the mesh [..., 478, 3] under an expression and a pose, in pixels (z negative towards the camera)."""
        return self.crop.to_pixels(project(self.vertices(expression), rotation, translation))
