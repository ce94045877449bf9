"""The Basel Face Model as prepared by Deep3DFaceReconstruction (Deng et al., CVPRW 2019): ``BFM_model_front.mat``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from shared.errors import InputError
from shared.face_model.convention import conventional
from shared.face_model.morphable import MorphableModel


def load_bfm(path: str | Path) -> MorphableModel:
    """Read ``meanshape`` [1, 3 N], ``idBase`` [3 N, 80], ``exBase`` [3 N, 64], ``tri`` [F, 3], ``keypoints`` [1, 68].

    The file uses decimetres and the project's axes; indices count from 1. Both bases are stored multiplied by their
    standard deviations, so that coefficient 1 is one standard deviation. Vertex groups are derived from the 68
    keypoints. Textures are not read.

    Raises:
        InputError: no such file, not a MATLAB 5 file, an array missing or of a wrong shape.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        data = loadmat(path)
    except Exception as error:  # scipy's reader fails in any way on a damaged file
        raise InputError(f"{path}: not a MATLAB 5 file ({error})") from None
    wanted = {"meanshape", "idBase", "exBase", "tri", "keypoints"}
    if not wanted <= data.keys():
        raise InputError(f"{path}: not a Deep3D face model (it lacks {', '.join(sorted(wanted - data.keys()))})")
    try:
        mean = data["meanshape"].astype(np.float32).reshape(-1, 3)
        id_basis, exp_basis = (data[key].astype(np.float32).T.reshape(-1, *mean.shape) for key in ("idBase", "exBase"))
        triangles, keypoints = data["tri"].astype(np.int64) - 1, data["keypoints"].astype(np.int64).ravel() - 1
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not a Deep3D face model ({error})") from None
    return conventional(path, "bfm", mean, id_basis, exp_basis, triangles, keypoints)
