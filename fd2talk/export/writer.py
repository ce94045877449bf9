"""Export of a Motion to the formats of other programs."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fd2talk.export.face_rig import face_scene
from fd2talk.export.gltf import glb_bytes
from fd2talk.export.live_link import live_link_csv
from fd2talk.export.obj import obj_bytes
from fd2talk.export.placement import Placement
from fd2talk.export.ply import ply_bytes
from fd2talk.export.talking_head_json import talking_head_json
from fd2talk.export.visemes import VISEMES, visemes, visemes_csv
from fd2talk.export.vrm_animation import vrm_animation
from fd2talk.options import ExportOptions
from shared.arkit import load_arkit_map
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import rotation_matrices
from shared.files import atomic_output
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.retarget import is_of, onto_photo

MESH_FORMATS = {".obj": obj_bytes, ".ply": ply_bytes}
SUFFIXES = (".glb", ".csv", ".json", ".vrma", *MESH_FORMATS)
_DEFAULTS = ExportOptions()
# Which options mean something for which format.
_USED = {
    "morphs": (".glb",),
    "photo": (".glb",),
    "curves": (".csv",),
    "fps": (".csv", ".json", ".vrma"),
    "start_timecode": (".csv",),
    "keep_expression": (".glb", ".csv", ".json"),
}


@dataclass(frozen=True)
class Exported:
    """What `export` wrote: the path of the file or folder, and its content in one line."""

    path: Path
    content: str


def export(
    motion: Motion,
    output: str | Path,
    *,
    photo: PhotoFit | None = None,
    options: ExportOptions = _DEFAULTS,
    overwrite: bool = False,
) -> Exported:
    """Write a motion in the format that the suffix of `output` names.

    ``X.glb``: glTF 2.0, the person's mesh with morph targets, eyes, teeth and a jaw, animated.
    ``X.csv``: ARKit's curves as Live Link Face writes them, or Oculus' visemes.
    ``X.json``: ARKit's curves and visemes for TalkingHead.
    ``X.vrma``: VRM animation of head, mouth, blinks and gaze.
    ``X.obj``, ``X.ply``: a folder X with a mesh per frame, X_00000.obj ...; a name without suffix: the same as OBJ.

    Args:
        motion: of the bundled face model.
        output: of one of these formats.
        photo: of the person, for a textured mesh; a motion of somebody else is applied to this face.
        options: of the format.
        overwrite: replace an existing output.

    Raises:
        UsageError: another suffix, an option of another format, or the output exists and `overwrite` is not set.
        InputError: the motion belongs to another face model.
    """
    output = Path(output)
    suffix = output.suffix.lower() or ".obj"
    if suffix not in SUFFIXES:
        raise UsageError(f"{output}: motion is exported to {', '.join(SUFFIXES)}, not {suffix}")
    check_options(suffix, photo is not None, options)
    model = load_bundled()
    if motion.face_model != model.fingerprint:
        raise InputError(f"only motion of the face model {model.fingerprint} is exported, not of {motion.face_model}")
    if suffix in MESH_FORMATS:
        comment = f"fd2talk {motion.face_model}, millimetres"
        meshes = (MESH_FORMATS[suffix](v, model.triangles, comment) for v in posed_vertices(motion, model))
        folder = _write_sequence(output, suffix, meshes, overwrite)
        return Exported(folder, f"{len(motion)} meshes of {model.num_vertices} vertices in millimetres")
    if options.fps is not None:
        motion = motion.resample(options.fps)
    encoded, content = (_mesh if suffix == ".glb" else _curves)(motion, model, photo, suffix, options)
    with atomic_output(output, overwrite) as temporary:
        temporary.write_bytes(encoded)
    return Exported(output, f"{content}, {extent(motion)}")


def extent(motion: Motion) -> str:
    """Return in words how many frames a motion has, and how many a second."""
    return f"{len(motion)} frame{'' if len(motion) == 1 else 's'} at {motion.fps:g} fps"


def check_options(suffix: str, has_photo: bool, options: ExportOptions) -> None:
    """Raise UsageError for an option that means nothing in a format, or is nothing beside another one."""
    given = {name for name, value in vars(options).items() if value != getattr(_DEFAULTS, name)}
    given |= {"photo"} if has_photo else set()
    for name in sorted(given):
        if suffix not in _USED[name]:
            raise UsageError(f"--{name.replace('_', '-')} is for {' and '.join(_USED[name])}, not for {suffix}")
    if options.morphs == "expression" and options.keep_expression:
        raise UsageError("--keep-expression is for --morphs arkit; the face model's own targets hold all expression")
    if options.curves == "visemes" and options.start_timecode:
        raise UsageError("--start-timecode is for --curves arkit")


Encoded = tuple[bytes, str]


def _curves(motion: Motion, _: MorphableModel, __: PhotoFit | None, suffix: str, options: ExportOptions) -> Encoded:
    curves, _start = load_arkit_map().fit(motion, keep_expression=options.keep_expression)
    if suffix == ".json":
        text = talking_head_json(motion, curves, visemes(curves, motion.fps))
        return text.encode(), "TalkingHead animation: ARKit curves and visemes"
    if suffix == ".vrma":
        content = "VRM animation: head and neck, five mouths, blinks and gaze"
        return vrm_animation(motion, curves, _times(motion), _extras(motion)), content
    if options.curves == "visemes":
        return visemes_csv(visemes(curves, motion.fps), motion.fps).encode(), f"{len(VISEMES)} Oculus visemes"
    text = live_link_csv(motion, curves, options.start_timecode)
    return text.encode(), "Live Link Face table: 52 ARKit curves, head and eye angles in radians"


def _mesh(motion: Motion, model: MorphableModel, photo: PhotoFit | None, _: str, options: ExportOptions) -> Encoded:
    if photo is not None and not is_of(motion, photo):
        motion = onto_photo(motion, photo)
    arkit = options.morphs == "arkit"
    fitted = load_arkit_map().fit(motion, keep_expression=options.keep_expression) if arkit else None
    scene = face_scene(motion, model, photo, fitted)
    targets = "52 ARKit morph targets" if arkit else f"{model.num_expression} morph targets of the face model"
    texture = "the photo as texture" if photo is not None else "no texture (--photo)"
    return glb_bytes(
        scene, _times(motion), _extras(motion)
    ), f"glTF face: {targets}, head, jaw and eyes as nodes, {texture}"


def _times(motion: Motion) -> np.ndarray:
    return np.arange(len(motion)) / motion.fps


def _extras(motion: Motion) -> dict:
    return {"face_model": motion.face_model, "fps": motion.fps, "source": motion.source, "synthetic_media": True}


def posed_vertices(motion: Motion, model: MorphableModel) -> np.ndarray:
    """Compute the person's mesh with expression and head pose.

    Returns:
        float32 [T, N, 3] in mm: x right, y up, z towards the viewer; the origin is the centre of the crop.
    """
    place = Placement.of(motion)
    identity = np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity
    vertices = model.vertices(identity, motion.expression)  # [T, N, 3]
    turned = vertices @ np.swapaxes(rotation_matrices(motion.rotation), -1, -2)
    return (turned * place.scale[:, None, None] + place.shift[:, None]).astype(np.float32)


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
