"""What every motion model of stage one offers; the pipeline knows no more of it than this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.photo_fit import PhotoFit
from stage1_motion.speech_events import Events

# Pose of a frontal face in its head crop, for motion without a photo: centre and log of crop units per 100 mm.
_FRONTAL = np.array([0.0, -0.18, -0.32], np.float32)


@dataclass
class Identity:
    """Whose face is to move: identity [D_id], expression [D], rotation [3], translation [3] as they are in the photo
    (or neutral), and the photo's lip and lid gaps in mm."""

    coefficients: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    lip_gap: float
    lid_gap: float

    @classmethod
    def of(cls, photo: PhotoFit | None, model: MorphableModel) -> Identity:
        """From a fitted photo, or the mean face looking ahead."""
        if photo is not None:
            vertices = photo.vertices(photo.expression)
            values = (photo.identity, photo.expression, photo.rotation, photo.translation)
        else:
            vertices = model.mean
            zeros = np.zeros(model.num_identity + model.num_expression, np.float32)
            values = (zeros[: model.num_identity], zeros[model.num_identity :], np.zeros(3, np.float32), _FRONTAL)
        return cls(*values, lip_gap=float(lip_gap(vertices)), lid_gap=float(lid_gap(vertices)))


class MotionModel(Protocol):
    """Speech features -> coefficients of a face."""

    face_model: MorphableModel
    speech_features: int

    def generate(
        self,
        speech: np.ndarray,
        events: Events,
        *,
        identity: Identity,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        device: str | torch.device = "cpu",
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """speech: float32 [T, S] at 25 Hz, as the encoder gives it. events: where somebody speaks and lips must meet.

        Returns expression [T, D], rotation [T, 3], translation [T, 3] of the identity's face, eyes at rest.
        """
        ...
