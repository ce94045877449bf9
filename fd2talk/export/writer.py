"""A Motion for other programs: glTF with morph targets, ARKit blendshape curves, a mesh for every frame."""

from __future__ import annotations

import csv
import io
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.arkit import NAMES, load_arkit_map
from fd2talk.export.gltf import Animation, Part, glb_bytes
from fd2talk.export.ply import ply_bytes
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import rotation_matrices
from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from shared.face_model.obj import obj_text
from shared.files import atomic_output
from shared.motion import Motion

HEAD_NAMES = ("headYaw", "headPitch", "headRoll")
_SKIN, _MOUTH, _EYES = (0.72, 0.5, 0.4, 1.0), (0.12, 0.02, 0.02, 1.0), (0.85, 0.85, 0.85, 1.0)


def export(motion: Motion, output: str | Path, *, overwrite: bool = False) -> Path:
    """Write `motion` in the format that the name of `output` asks for; returns what was written.

    ``X.glb``: glTF 2.0, the person's neutral mesh, the expression basis as morph targets, weights and pose animated.
    ``X.csv``: ARKit's blendshapes and the head's angles, a row a frame, in the columns and order of Live Link Face.
    ``X.obj``, ``X.ply``: a folder X with a mesh a frame, X_00000.obj ...; a name without suffix: the same as OBJ.

    Raises UsageError: another suffix, or an output that exists and `overwrite` is not set. InputError: a motion of
    another face model than the bundled one.
    """
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix not in ("", ".glb", ".csv", ".obj", ".ply"):
        raise UsageError(f"{output}: motion is exported to .glb, .csv, .obj or .ply, not {suffix}")
    model = load_bundled()
    if motion.face_model != model.fingerprint:
        raise InputError(
            f"the motion is for the face model {motion.face_model}, only {model.fingerprint} can be exported"
        )
    if suffix == ".glb":
        return _write(output, glb(motion, model), overwrite)
    if suffix == ".csv":
        return _write(output, arkit_csv(motion).encode("utf-8"), overwrite)
    vertices = posed_vertices(motion, model)
    comment = f"fd2talk {motion.face_model}, millimetres"
    if suffix == ".ply":
        return _write_sequence(output, ".ply", vertices, lambda v: ply_bytes(v, model.triangles, comment), overwrite)
    return _write_sequence(
        output, ".obj", vertices, lambda v: obj_text(v, model.triangles, comment).encode(), overwrite
    )


# -- geometry ---------------------------------------------------------------------------------------------------------


def _identity(motion: Motion, model: MorphableModel) -> np.ndarray:
    return np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity


def _placement(motion: Motion) -> tuple[np.ndarray, np.ndarray, float]:
    """Scale [T], translation [T, 3] in mm, and the half side of the crop in mm.

    The weak perspective camera knows no distance, only size. The clip's median size counts as life size, and others
    stay what they are in the picture: a scaling of the head.
    """
    half_side = 100.0 / np.exp(np.median(motion.translation[:, 2]))
    scale = np.exp(motion.translation[:, 2]) * half_side / 100.0
    shift = motion.translation * [half_side, -half_side, 0.0]
    return scale, shift, float(half_side)


def posed_vertices(motion: Motion, model: MorphableModel) -> np.ndarray:
    """[T, N, 3] in mm: the person's mesh with expression and head pose, x right, y up, z to the viewer; the crop's
    centre is the origin."""
    scale, shift, _ = _placement(motion)
    vertices = model.vertices(_identity(motion, model), motion.expression)
    turned = vertices @ np.swapaxes(rotation_matrices(motion.rotation), -1, -2)
    return (turned * scale[:, None, None] + shift[:, None]).astype(np.float32)


def head_angles(rotation: np.ndarray) -> np.ndarray:
    """Axis-angle [T, 3] -> [T, 3] yaw (to the person's left), pitch (up), roll (the head's top to the person's right),
    in radians: R = Ry(yaw) Rx(-pitch) Rz(roll)."""
    yaw, down, roll = Rotation.from_rotvec(rotation).as_euler("YXZ").T
    return np.stack([yaw, -down, roll], axis=-1)


# -- formats ----------------------------------------------------------------------------------------------------------


def glb(motion: Motion, model: MorphableModel) -> bytes:
    """`motion` as glTF 2.0 binary, in metres."""
    scale, shift, half_side = _placement(motion)
    quaternions = Rotation.from_rotvec(motion.rotation).as_quat()
    # q and -q turn alike, but between keys only neighbours on the same side interpolate along the short arc.
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


def arkit_csv(motion: Motion) -> str:
    """`motion` as text: Timecode (HH:MM:SS:FF.fff at the motion's frame rate), BlendshapeCount, 52 scores, 3 angles."""
    values = np.concatenate([load_arkit_map()(motion), head_angles(motion.rotation)], axis=1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Timecode", "BlendshapeCount", *NAMES, *HEAD_NAMES])
    for index, row in enumerate(values):
        writer.writerow([_timecode(index, motion.fps), values.shape[1], *(f"{value + 0.0:.6f}" for value in row)])
    return text.getvalue()


def _timecode(index: int, fps: float) -> str:
    """Hours, minutes, seconds, frame within the second; a fraction where the frame rate is no integer."""
    seconds = int(index / fps + 1e-9)
    frame = max(index - seconds * fps, 0.0)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:06.3f}"


# -- files ------------------------------------------------------------------------------------------------------------


def _write(output: Path, content: bytes, overwrite: bool) -> Path:
    with atomic_output(output, overwrite) as temporary:
        temporary.write_bytes(content)
    return output


def _write_sequence(
    output: Path, suffix: str, vertices: np.ndarray, encode: Callable[[np.ndarray], bytes], overwrite: bool
) -> Path:
    """A folder of meshes, filled under another name and then put in place."""
    folder = output.with_suffix("") if output.suffix.lower() == suffix else output
    if not folder.parent.is_dir():
        raise UsageError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    pattern = re.compile(re.escape(folder.name) + r"_\d{5,}\.(obj|ply)")
    if folder.exists():
        if not overwrite:
            raise UsageError(f"cannot write {folder}: it already exists (ask for overwriting to replace it)")
        if not folder.is_dir() or not all(pattern.fullmatch(path.name) for path in folder.iterdir()):
            raise UsageError(f"cannot write {folder}: it holds other things than an exported sequence")
    temporary = folder.with_name(f".fd2talk-{secrets.token_hex(6)}")
    try:
        temporary.mkdir()
        for index, frame in enumerate(vertices):
            (temporary / f"{folder.name}_{index:05d}{suffix}").write_bytes(encode(frame))
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
