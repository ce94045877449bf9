"""Export of a Motion: glTF with morph targets, ARKit blendshape curves, or one mesh per frame."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.gltf import Animation, Part, glb_bytes
from fd2talk.export.live_link import live_link_csv
from fd2talk.export.obj import obj_bytes
from fd2talk.export.ply import ply_bytes
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import rotation_matrices
from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from shared.files import atomic_output
from shared.motion import Motion

MESH_FORMATS = {".obj": obj_bytes, ".ply": ply_bytes}
_SKIN, _MOUTH, _EYES = (0.72, 0.5, 0.4, 1.0), (0.12, 0.02, 0.02, 1.0), (0.85, 0.85, 0.85, 1.0)


def export(motion: Motion, output: str | Path, *, overwrite: bool = False) -> Path:
    """Write a motion in the format that the suffix of `output` names.

    ``X.glb``: glTF 2.0, the person's neutral mesh, the expression basis as morph targets, weights and pose animated.
    ``X.csv``: ARKit's blendshapes and the head's angles, a row per frame, in the columns and order of Live Link Face.
    ``X.obj``, ``X.ply``: a folder X with a mesh per frame, X_00000.obj ...; a name without suffix: the same as OBJ.

    Args:
        motion: of the bundled face model.
        output: of one of these formats.
        overwrite: replace an existing output.

    Returns:
        The path of the file or folder.

    Raises:
        UsageError: another suffix, or the output exists and `overwrite` is not set.
        InputError: the motion belongs to another face model.
    """
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix not in ("", ".glb", ".csv", *MESH_FORMATS):
        raise UsageError(f"{output}: motion is exported to .glb, .csv, .obj or .ply, not {suffix}")
    model = load_bundled()
    if motion.face_model != model.fingerprint:
        raise InputError(f"only motion of the face model {model.fingerprint} is exported, not of {motion.face_model}")
    if suffix == ".glb":
        return _write(output, glb(motion, model), overwrite)
    if suffix == ".csv":
        return _write(output, live_link_csv(motion).encode(), overwrite)
    suffix = suffix or ".obj"
    comment = f"fd2talk {motion.face_model}, millimetres"
    meshes = (MESH_FORMATS[suffix](v, model.triangles, comment) for v in posed_vertices(motion, model))
    return _write_sequence(output, suffix, meshes, overwrite)


# -- geometry ---------------------------------------------------------------------------------------------------------


def _identity(motion: Motion, model: MorphableModel) -> np.ndarray:
    return np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity


def _placement(motion: Motion) -> tuple[np.ndarray, np.ndarray, float]:
    """Scale [T], translation [T, 3] in mm, and half of the crop's side in mm.

    A weak perspective camera has no distance, only a scale. The median scale of the clip is taken as life size; other
    frames keep their size in the image, as a scaling of the head.
    """
    half_side = 100.0 / np.exp(np.median(motion.translation[:, 2]))
    scale = np.exp(motion.translation[:, 2]) * half_side / 100.0
    shift = motion.translation * [half_side, -half_side, 0.0]
    return scale, shift, float(half_side)


def posed_vertices(motion: Motion, model: MorphableModel) -> np.ndarray:
    """Compute the person's mesh with expression and head pose.

    Returns:
        float32 [T, N, 3] in mm: x right, y up, z towards the viewer; the origin is the centre of the crop.
    """
    scale, shift, _ = _placement(motion)
    vertices = model.vertices(_identity(motion, model), motion.expression)  # [T, N, 3]
    turned = vertices @ np.swapaxes(rotation_matrices(motion.rotation), -1, -2)
    return (turned * scale[:, None, None] + shift[:, None]).astype(np.float32)


def glb(motion: Motion, model: MorphableModel) -> bytes:
    """Encode a motion as binary glTF 2.0, in metres."""
    scale, shift, half_side = _placement(motion)
    quaternions = Rotation.from_rotvec(motion.rotation).as_quat()
    # q and -q are the same rotation, but only between neighbours on the same side is the arc the short one.
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(1))
    quaternions[1:] *= np.cumprod(np.where(flips == 0, 1, flips))[:, None]
    animation = Animation(
        times=np.arange(len(motion)) / motion.fps,
        weights=motion.expression,
        rotation=quaternions,
        translation=shift / 1000,
        scale=np.repeat(scale[:, None], 3, axis=1),
    )
    eyes = np.isin(model.triangles, RIGHT_EYE).all(1) | np.isin(model.triangles, LEFT_EYE).all(1)
    mouth = np.isin(model.triangles, INNER_LIPS).all(1)
    parts = [
        Part("skin", model.triangles[~eyes & ~mouth], _SKIN),
        Part("eyes", model.triangles[eyes], _EYES),
        Part("mouth", model.triangles[mouth], _MOUTH),
    ]
    neutral = model.vertices(_identity(motion, model), np.zeros(model.num_expression))
    extras = {"face_model": motion.face_model, "fps": motion.fps, "source": motion.source, "synthetic_media": True}
    return glb_bytes("face", neutral / 1000, model.exp_basis / 1000, parts, animation, half_side / 1000, extras)


# -- files ------------------------------------------------------------------------------------------------------------


def _write(output: Path, content: bytes, overwrite: bool) -> Path:
    with atomic_output(output, overwrite) as temporary:
        temporary.write_bytes(content)
    return output


def _write_sequence(output: Path, suffix: str, meshes: Iterator[bytes], overwrite: bool) -> Path:
    """Fill a folder under a temporary name, then rename it."""
    folder = output.with_suffix("") if output.suffix.lower() == suffix else output
    if not folder.parent.is_dir():
        raise UsageError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    pattern = re.compile(re.escape(folder.name) + r"_\d{5,}\.(obj|ply)")
    if folder.exists():
        if not overwrite:
            raise UsageError(
                f"cannot write {folder}: it already exists (to replace it: --overwrite, or overwrite=True)"
            )
        if not folder.is_dir() or not all(pattern.fullmatch(path.name) for path in folder.iterdir()):
            raise UsageError(f"cannot write {folder}: it contains other files than an exported sequence")
    temporary = folder.with_name(f".fd2talk-{secrets.token_hex(6)}")
    try:
        temporary.mkdir()
        for index, mesh in enumerate(meshes):
            (temporary / f"{folder.name}_{index:05d}{suffix}").write_bytes(mesh)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
