"""A photo with its face fitted: what both stages need to know about the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import InputError
from shared.face_model.camera import project
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.tracker import track_photo

# Beyond this turn of the head one side of the face is hidden and no renderer here can invent it.
MAX_YAW_DEGREES = 50.0


@dataclass
class PhotoFit:
    """image: uint8 [H, W, 3]; landmarks: float32 [478, 3] in pixels; crop: the head crop; then the face model's
    identity [D_id], expression [D], rotation [3], translation [3], and residual [478, 3] in mm: what the model could
    not express of this face, carried along so that the photo's own mesh is met exactly."""

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
        model: MorphableModel,
        *,
        face_index: int | None = None,
        face_box: tuple[float, float, float, float] | None = None,
    ) -> PhotoFit:
        """Find and fit the face. Raises InputError: no face, too small a face, a profile."""
        landmarks = track_photo(image, face_index=face_index, face_box=face_box)
        return cls.from_landmarks(image, landmarks, model)

    @classmethod
    def from_landmarks(cls, image: np.ndarray, landmarks: np.ndarray, model: MorphableModel) -> PhotoFit:
        """Fit tracked landmarks [478, 3] (pixels). Raises InputError for a profile."""
        crop = Crop.around(landmarks)
        result = fit(model, crop.to_crop(landmarks)[None])
        yaw = np.degrees(abs(result.rotation[0, 1]))
        if yaw > MAX_YAW_DEGREES:
            raise InputError(f"the face is turned {yaw:.0f} degrees to the side; at most {MAX_YAW_DEGREES:.0f} will do")
        return cls(
            image=image,
            landmarks=landmarks,
            crop=crop,
            model=model,
            identity=result.identity,
            expression=result.expression[0],
            rotation=result.rotation[0],
            translation=result.translation[0],
            residual=result.residual[0],
        )

    def vertices(self, expression: np.ndarray) -> np.ndarray:
        """Expression [..., D] -> the person's mesh [..., 478, 3] in mm, canonical frame."""
        return self.model.vertices(self.identity, expression) + self.residual

    def vertices_px(self, expression: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """The mesh under a pose, in pixels of the photo: [..., 478, 3] (z negative towards the camera)."""
        return self.crop.to_pixels(project(self.vertices(expression), rotation, translation))
