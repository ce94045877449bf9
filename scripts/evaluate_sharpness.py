"""Sharpness of rendered frames at the photo's own size, by part of the face, relative to the photo.

    python scripts/evaluate_sharpness.py                                       # the demo portraits
    python scripts/evaluate_sharpness.py ../shared/data/portraits --count 10 --weights WEIGHTS

Photos whose head crop has at least 700 pixels (at the size at which they are rendered: an enlarged photo would prove
nothing) speak the bundled recording, framed as with `--full`. Sharpness is the root mean square of the Laplacian; each
value is that of frames within a part of the face, mean over frames, over that of the photo within the same part. Parts
move with the mesh: `skin` is forehead and cheeks, `hair` surrounds the upper half of the face's outline, `eyes` are the
openings of the lids with a margin (only frames with open eyes), `lips` the red of the lips, `mouth` a box around them.
Prints Markdown with mean and worst photo, and the targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from demo import demo_speech, fit_photos, picture_files
from markdown_tables import print_head, print_row, verdict

from shared.face_model.measures import lid_gap, lip_aperture
from shared.face_model.mediapipe_mesh import FACE_OVAL, INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from shared.media import read_image
from shared.metrics.image import sharpness
from shared.metrics.rendering import part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render import RENDERERS
from stage2_render.pipeline import MAX_SIZE, RenderPipeline

PARTS = ("skin", "hair", "eyes", "lips", "mouth")
TARGETS = {"skin": 0.8, "hair": 0.8, "eyes": 0.8, "lips": 0.9, "mouth": 0.9}
LEAST_SIDE = 700

# Rings of mesh points on smooth skin.
FOREHEAD = (67, 109, 10, 338, 297, 299, 9, 69)
CHEEKS = ((117, 118, 101, 36, 207, 187, 123), (346, 347, 330, 266, 427, 411, 352))
EYES_OPEN = 0.8  # of the photo's lid gap
FRAMES = 12  # of each video in which sharpness is measured
LEAST_PIXELS = 50
CELL = 512  # side in pixels of a picture on the sheet


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=bundled("demo"))
@click.option("--split", default="val", show_default=True, help="Of a folder with a manifest.")
@click.option("--count", default=8, show_default=True, help="Number of photos.")
@click.option("--weights", default="bundled", show_default=True)
@click.option("--renderer", "renderers", multiple=True, type=click.Choice(RENDERERS), default=("geometry", "repair"))
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write, faces at native size.")
def main(folder, split, count, weights, renderers, sheet) -> None:
    motions = MotionPipeline.from_pretrained()
    pipelines = {name: RenderPipeline.from_pretrained(weights, renderer=name) for name in renderers}
    audio = demo_speech()
    results: dict[str, list[dict[str, float]]] = {name: [] for name in renderers}
    rows = []
    for file, photo in fit_photos(folder, picture_files(folder, split), motions.face_model, load):
        if photo.crop.side < LEAST_SIDE:
            continue
        motion = motions(audio, photo=photo, seed=len(rows))
        faces = []
        for name, pipeline in pipelines.items():
            values, pictures = measure(pipeline, photo, motion)
            results[name].append({"photo": file, **values})
            faces += pictures if not faces else pictures[1:]
        rows.append(np.hstack(faces))
        if len(rows) == count:
            break
    if not rows:
        raise click.ClickException(f"{folder}: no photo has a head crop of {LEAST_SIDE} pixels")
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])
    print_table(results)


def load(file: Path) -> np.ndarray:
    """Return the photo at the size at which it is rendered."""
    image = read_image(file)
    scale = min(1.0, MAX_SIZE / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = (side - side % 2 for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def measure(pipeline: RenderPipeline, photo: PhotoFit, motion: Motion) -> tuple[dict[str, float], list[np.ndarray]]:
    """Render a motion and measure its sharpness.

    Returns:
        Part -> sharpness relative to the photo; the face in the photo and in the frame with the widest mouth.
    """
    meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
    widest = int(lip_aperture(meshes).argmax())
    picks = {widest, *np.linspace(0, len(motion) - 1, FRAMES).astype(int).tolist()}
    frames = enumerate(pipeline(photo, motion, full=True))
    chosen = {index: frame for index, frame in frames if index in picks}
    ratios = [ratio(photo, frame, meshes[index]) for index, frame in chosen.items()]
    parts = {part: float(np.nanmean([r[part] for r in ratios])) for part in PARTS}
    return parts, [_face(image, photo.landmarks) for image in (photo.image, chosen[widest])]


def ratio(photo: PhotoFit, frame: np.ndarray, mesh: np.ndarray) -> dict[str, float]:
    """Part -> sharpness of a frame with this mesh [478, 3] over the photo's; nan for a hidden part or closed eyes."""
    own, now = (part_masks(points, frame.shape[:2]) for points in (photo.landmarks, mesh))
    found = {}
    for part in PARTS:
        visible = own[part].sum() >= LEAST_PIXELS and now[part].sum() >= LEAST_PIXELS
        # In pixels, y points down.
        if part == "eyes" and lid_gap(-mesh) < EYES_OPEN * lid_gap(-photo.landmarks):
            visible = False
        found[part] = sharpness(frame, now[part]) / sharpness(photo.image, own[part]) if visible else float("nan")
    return found


def part_masks(mesh: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Part -> bool [H, W]. mesh: [478, 3] in pixels; size: height and width."""
    points = mesh[:, :2]

    def filled(*rings: Sequence[int], grown: float = 1.0) -> np.ndarray:
        mask = np.zeros(size, np.uint8)
        for ring in rings:
            corners = points[list(ring)]
            corners = corners.mean(0) + grown * (corners - corners.mean(0))
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
        return mask.astype(bool)

    forehead, chin = points[10], points[152]
    eyes = points[[*RIGHT_EYE, *LEFT_EYE]].mean(0)
    y, x = np.mgrid[: size[0], : size[1]]
    above_eyes = (x - eyes[0]) * (forehead - chin)[0] + (y - eyes[1]) * (forehead - chin)[1] > 0
    ((x0, y0, x1, y1),) = part_boxes(mesh, size)["mouth"]
    return {
        "skin": filled(FOREHEAD, *CHEEKS),
        "hair": filled(FACE_OVAL, grown=1.5) & ~filled(FACE_OVAL, grown=1.08) & above_eyes,
        "eyes": filled(RIGHT_EYE, LEFT_EYE, grown=1.3),
        "lips": filled(OUTER_LIPS) & ~filled(INNER_LIPS),
        "mouth": (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1),
    }


def print_table(results: dict[str, list[dict]]) -> None:
    """Print for each renderer what `measure` returned, with each photo's name."""
    print()
    print_head(["", *PARTS])
    targets = [f"{TARGETS[part]:.2f}" for part in PARTS]
    print_row(["target, of every photo", *targets])
    for name, rows in results.items():
        cells = []
        for part in PARTS:
            values = [row[part] for row in rows]
            worst, photo = float(np.nanmin(values)), rows[int(np.nanargmin(values))]["photo"]
            passed = verdict(worst >= TARGETS[part])
            cells.append(f"{np.nanmean(values):.2f}; {worst:.2f} ({photo}) {passed}")
        print_row([f"{name}, {len(rows)} photos: mean; worst", *cells])


def _face(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The centre of the face at native size, CELL pixels square."""
    height, width = picture.shape[:2]
    center = landmarks[:, :2].mean(0)
    left, top = (int(np.clip(c - CELL / 2, 0, max(side - CELL, 0))) for c, side in zip(center, (width, height)))
    part = picture[top : top + CELL, left : left + CELL]
    return np.pad(part, ((0, CELL - part.shape[0]), (0, CELL - part.shape[1]), (0, 0)))


if __name__ == "__main__":
    main()
