"""One door for every face model file."""

from __future__ import annotations

from pathlib import Path

from shared.errors import InputError
from shared.face_model.bfm import load_bfm
from shared.face_model.flame import load_flame
from shared.face_model.ict import load_ict
from shared.face_model.morphable import MorphableModel


def load_face_model(path: str | Path) -> MorphableModel:
    """Read a face model by the kind of its file: ``.safetensors`` (this project's), ``.pkl`` (FLAME), ``.mat``
    (Basel Face Model as of Deep3DFaceReconstruction), a folder (ICT-FaceKit's FaceXModel).

    Raises InputError: no such file, another kind, a damaged one.
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
