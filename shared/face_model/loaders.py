"""Loading of face models of any supported kind."""

from __future__ import annotations

from pathlib import Path

from shared.errors import InputError
from shared.face_model.bfm import load_bfm
from shared.face_model.flame import load_flame
from shared.face_model.ict import load_ict
from shared.face_model.morphable import MorphableModel


def load_face_model(path: str | Path) -> MorphableModel:
    """Read a face model; the name of the file determines its kind.

    ``.safetensors`` (this project's), ``.pkl`` (FLAME), ``.mat`` (Basel Face Model of Deep3DFaceReconstruction), or a
    folder (ICT-FaceKit's FaceXModel).

    Raises:
        InputError: no such file, another kind, or a damaged file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        return load_ict(path)
    readers = {".safetensors": MorphableModel.load, ".pkl": load_flame, ".mat": load_bfm}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: not a face model (known kinds: .safetensors, FLAME .pkl, BFM .mat, ICT folder)")
    return reader(path)
