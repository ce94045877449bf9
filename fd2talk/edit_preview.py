"""The preview of an edit: curves of lips and head before and after it, and meshes or frames at a few moments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from shared.face_model import MorphableModel
from shared.face_model.camera import project
from shared.face_model.measures import lip_gap
from shared.files import atomic_output
from shared.media import FPS
from shared.motion import Motion
from stage2_render.editing.footage import Footage, FrameReader

if TYPE_CHECKING:
    from stage1_motion.editing.request import Plan

_WIDTH, _MARGIN, _ROW, _CELL, _COLUMNS = 1280, 60, 130, 152, 8
_KEPT, _BEFORE, _AFTER, _INK = "#dcecd9", "#9a9a9a", "#1f5fae", "#303030"
_ZOOM = 1.4  # of the head crop, in which the face has some room to move
_LIGHT = np.array([0.25, 0.45, 0.86], np.float32)
_SKIN = np.array([214, 190, 172], np.float32)


def write_preview(
    path: Path,
    before: Motion,
    after: Motion,
    plan: Plan,
    model: MorphableModel,
    footage: Footage | None = None,
    frames: Mapping[int, np.ndarray] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a PNG.

    Args:
        path: of the picture.
        before: the original.
        after: the edited motion.
        plan: of the edit; kept ranges of lips or head are shaded, and the original is drawn on the new timeline.
        model: the face model of both.
        footage: the original video, whose frames are shown instead of meshes; None for a motion.
        frames: frames of the edited video by number, including those of `moments`.
        overwrite: replace an existing file.
    """
    count, reader = len(after), FrameReader(footage.video) if footage else None
    origin = np.pad(plan.origin, (0, count - len(plan.origin)), constant_values=-1)
    kept = np.pad(plan.constraint.mask, ((0, count - len(plan.constraint.mask)), (0, 0)))
    curves = [_curves(motion, model) for motion in (before, after)]
    known = origin >= 0
    rows = len(curves[0])
    picture = Image.new("RGB", (_WIDTH, rows * _ROW + 2 * _CELL + 40), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for row, (name, values) in enumerate(curves[1].items()):
        earlier = np.where(known, curves[0][name][np.where(known, origin, 0)], np.nan)
        box = (_MARGIN, row * _ROW + 22, _WIDTH - 10, (row + 1) * _ROW - 6)
        _plot(draw, box, kept[:, 3 if row else 0], [(earlier, _BEFORE, 3), (values, _AFTER, 1)], font)
        draw.text((_MARGIN, row * _ROW + 3), name, _INK, font)
    draw.text((_WIDTH - 330, 3), "grey: before   blue: after   shaded: kept", _INK, font)
    for column, frame in enumerate(moments(count)):
        left, top = _MARGIN + column * _CELL, rows * _ROW + 22
        draw.text((left, top - 18), f"{frame / FPS:.2f} s", _INK, font)
        if known[frame]:
            picture.paste(_shown(before, int(origin[frame]), model, reader), (left, top))
        picture.paste(_shown(after, frame, model, frames), (left, top + _CELL))
    for row, name in enumerate(("before", "after")):
        draw.text((6, rows * _ROW + 22 + (row + 0.5) * _CELL), name, _INK, font)
    with atomic_output(path, overwrite) as temporary:
        picture.save(temporary, format="PNG")


def moments(count: int) -> list[int]:
    """The frames, of `count`, that a picture shows."""
    return np.linspace(0, count - 1, min(_COLUMNS, count)).round().astype(int).tolist()


def _curves(motion: Motion, model: MorphableModel) -> dict[str, np.ndarray]:
    """What is drawn over time, by its title: [T] each."""
    from fd2talk.export.live_link import head_angles

    identity = np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity
    yaw, pitch, roll = np.degrees(head_angles(motion.rotation)).T
    gap = lip_gap(model.vertices(identity, motion.expression))
    return {"lip aperture, mm": gap, "head: yaw, degrees": yaw, "pitch": pitch, "roll": roll}


def _plot(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    kept: np.ndarray,
    lines: list[tuple[np.ndarray, str, int]],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Curves [T] over time in a box of pixels; gaps where they are NaN."""
    left, top, right, bottom = box
    values = np.concatenate([line for line, _, _ in lines])
    low, high = np.nanmin(values), np.nanmax(values)
    height = max(high - low, 1e-3)
    x = left + (right - left) * (np.arange(len(kept)) + 0.5) / len(kept)
    half = (right - left) / len(kept) / 2
    for frame in np.flatnonzero(kept):
        draw.rectangle((x[frame] - half, top, x[frame] + half, bottom), _KEPT)
    draw.rectangle(box, outline="#c0c0c0")
    draw.text((4, top), f"{high:.1f}", _INK, font)
    draw.text((4, bottom - 14), f"{low:.1f}", _INK, font)
    for line, colour, width in lines:
        y = bottom - (bottom - top) * (line - low) / height
        shown = np.isfinite(y)
        for run in np.split(np.arange(len(y)), np.flatnonzero(np.diff(shown.astype(int))) + 1):
            if len(run) > 1 and shown[run[0]]:
                draw.line(list(zip(x[run].tolist(), y[run].tolist())), colour, width)


def _shown(
    motion: Motion, frame: int, model: MorphableModel, frames: FrameReader | Mapping[int, np.ndarray] | None
) -> Image.Image:
    """A frame of a video, fitted into a cell, or a frame's mesh."""
    if frames is None:
        return _mesh(motion, frame, model)
    return ImageOps.pad(Image.fromarray(frames[frame]), (_CELL - 4, _CELL - 4), color="#f4f4f4")


def _mesh(motion: Motion, frame: int, model: MorphableModel) -> Image.Image:
    """A frame's mesh, shaded."""
    identity = np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity
    vertices = model.vertices(identity, motion.expression[frame])
    points = project(vertices, motion.rotation[frame], motion.translation[frame])
    # Drawn at twice the size, edges are smooth.
    side = 2 * (_CELL - 4)
    corners = points[model.triangles]  # [F, 3, 3]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * [1, -1, 1]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    shade = 0.35 + 0.65 * np.abs(normals @ _LIGHT)
    picture = Image.new("RGB", (side, side), "#f4f4f4")
    draw = ImageDraw.Draw(picture)
    pixels = (_ZOOM * corners[..., :2] + 1) / 2 * side
    for index in np.argsort(corners[..., 2].mean(1)):
        colour = tuple((_SKIN * shade[index]).astype(int).tolist())
        draw.polygon([tuple(point) for point in pixels[index].tolist()], fill=colour)
    return picture.resize((side // 2, side // 2), Image.Resampling.LANCZOS)
