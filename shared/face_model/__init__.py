"""The 3D morphable face model (FD2Talk eq. 1), its camera and its fitting."""

from shared.face_model.morphable import MorphableModel

__all__ = ["MorphableModel", "load_bundled"]


def load_bundled() -> MorphableModel:
    """Return the face model that is bundled with the project."""
    from shared.weights import bundled

    return MorphableModel.load(bundled("face_model/model.safetensors"))
