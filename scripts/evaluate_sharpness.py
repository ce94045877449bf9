"""Do sharp photos stay sharp? Parts of rendered frames at the photo's own size, against the photo itself.

    python scripts/evaluate_sharpness.py                                       # the demo portraits
    python scripts/evaluate_sharpness.py ../shared/data/portraits --count 10 --weights runs/unet/best

Photos whose head crop has 700 pixels or more (as they are rendered; an enlarged photo proves nothing), framed as
`--full` does, speak the bundled recording. Sharpness is the root mean square of the Laplacian; each figure is that of
frames within a part of the face, mean over frames, over that of the photo within the same part of its own. Parts move
with the mesh: `skin` is forehead and cheeks, `hair` what lies round the upper half of the face's outline, `eyes` the
lids' openings and a rim round them (frames with eyes open alone), `lips` the red of the lips, `mouth` a box round them.
Seconds per frame are those of warping, painting, encoding and writing the whole video, on whatever else the machine
does. Prints Markdown; the asked-for figures stand beside the worst photo's.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.measures import lid_gap, lip_aperture
from shared.face_model.mediapipe_mesh import FACE_OVAL, INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from shared.media import VideoWriter, read_audio, read_image
from shared.metrics.image import sharpness
from shared.metrics.rendering import part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render import RENDERERS
from stage2_render.pipeline import MAX_SIZE, RenderPipeline

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"
PARTS = ("skin", "hair", "eyes", "lips", "mouth")
JUDGED = ("skin", "hair", "eyes")
LEAST_SIDE = 700
SHARPNESS, SECONDS = 0.8, 0.30  # asked for: of JUDGED; per frame

# Rings of mesh points on smooth skin.
FOREHEAD = (67, 109, 10, 338, 297, 299, 9, 69)
CHEEKS = ((117, 118, 101, 36, 207, 187, 123), (346, 347, 330, 266, 427, 411, 352))
EYES_OPEN = 0.8  # of the photo's lid gap
FRAMES = 12  # of a video, whose sharpness is measured
LEAST_PIXELS = 50
CELL = 512  # side in pixels of a picture on the sheet


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None, required=False)
@click.option("--split", default="val", show_default=True, help="of a folder with a manifest")
@click.option("--count", default=8, show_default=True)
@click.option("--weights", default="bundled", show_default=True)
@click.option("--renderer", "renderers", multiple=True, type=click.Choice(RENDERERS), default=RENDERERS)
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write: faces at native size")
def main(folder, split, count, weights, renderers, sheet) -> None:
    folder = folder or bundled("demo")
    motions = MotionPipeline.from_pretrained()
    pipelines = {name: RenderPipeline.from_pretrained(weights, renderer=name) for name in renderers}
    audio = read_audio(bundled(SPEECH))
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in renderers}
    tiles = []
    for file in tqdm(_pictures(folder, split)):
        if len(tiles) == count:
            break
        try:
            photo = PhotoFit.fit(load(file), motions.face_model)
        except InputError as error:
            print(f"{file.name}: {error}")
            continue
        if photo.crop.side < LEAST_SIDE:
            continue
        motion = motions(audio, photo=photo, seed=len(tiles))
        row = []
        for name, pipeline in pipelines.items():
            found, shown = measure(pipeline, photo, motion)
            figures[name].append({"photo": file.name, **found})
            row += shown if not row else shown[1:]
        tiles.append(np.hstack(row))
    if not tiles:
        raise click.ClickException(f"{folder}: no photo there has a head crop of {LEAST_SIDE} pixels")
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(tiles)[..., ::-1])
    print_tables(figures)


def _pictures(folder: Path, split: str) -> list[Path]:
    manifest = folder / "manifest.csv"
    if manifest.exists():
        rows = [row for row in csv.DictReader(open(manifest)) if row["split"] == split]
        return [folder / row["file"] for row in rows]
    return sorted(folder.glob("*.jpg"))


def load(file: Path) -> np.ndarray:
    """The photo as large as it is rendered."""
    image = read_image(file)
    scale = min(1.0, MAX_SIZE / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = (side - side % 2 for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def measure(pipeline: RenderPipeline, photo: PhotoFit, motion: Motion) -> tuple[dict[str, float], list[np.ndarray]]:
    """{part: sharpness over the photo's, "seconds": per frame}; and the photo's face and, where the mouth is widest
    open, the made one's, to look at."""
    meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
    widest = int(lip_aperture(meshes).argmax())
    picks = {widest, *np.linspace(0, len(motion) - 1, FRAMES).astype(int).tolist()}
    kept = {}
    before = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        size = photo.image.shape[1::-1]
        with VideoWriter(Path(place) / "video.mp4", size, audio=motion.audio) as writer:
            for index, frame in enumerate(pipeline(photo, motion, full=True)):
                writer.write(frame)
                if index in picks:
                    kept[index] = frame
    seconds = (time.perf_counter() - before) / len(motion)
    ratios = [ratio(photo, frame, meshes[index]) for index, frame in kept.items()]
    parts = {part: float(np.nanmean([r[part] for r in ratios])) for part in PARTS}
    shown = [_face(photo.image, photo.landmarks), _face(kept[widest], photo.landmarks)]
    return {**parts, "seconds": seconds}, shown


def ratio(photo: PhotoFit, frame: np.ndarray, mesh: np.ndarray) -> dict[str, float]:
    """part -> sharpness of a frame whose face has this mesh [478, 3] over the photo's; nan where a part cannot be
    seen, or is closed now."""
    own, now = (part_masks(points, frame.shape[:2]) for points in (photo.landmarks, mesh))
    found = {}
    for part in PARTS:
        seen = own[part].sum() >= LEAST_PIXELS and now[part].sum() >= LEAST_PIXELS
        # Pixels' y points down.
        if part == "eyes" and lid_gap(-mesh) < EYES_OPEN * lid_gap(-photo.landmarks):
            seen = False
        found[part] = sharpness(frame, now[part]) / sharpness(photo.image, own[part]) if seen else float("nan")
    return found


def part_masks(mesh: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """part -> bool [H, W]. mesh: [478, 3] in pixels; size: height and width."""
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
    mouth = np.zeros(size, bool)
    for x0, y0, x1, y1 in part_boxes(mesh, size)["mouth"]:
        mouth[y0:y1, x0:x1] = True
    return {
        "skin": filled(FOREHEAD, *CHEEKS),
        "hair": filled(FACE_OVAL, grown=1.5) & ~filled(FACE_OVAL, grown=1.08) & above_eyes,
        "eyes": filled(RIGHT_EYE, LEFT_EYE, grown=1.3),
        "lips": filled(OUTER_LIPS) & ~filled(INNER_LIPS),
        "mouth": mouth,
    }


def print_tables(figures: dict[str, list[dict]]) -> None:
    """figures: renderer -> what `measure` found, and the photo's name."""
    print(f"\n|  | {' | '.join(PARTS)} | seconds per frame |\n|{'---|' * (len(PARTS) + 2)}")
    asked = [f"{SHARPNESS:.2f}" if part in JUDGED else "" for part in PARTS]
    print(f"| asked for, of every photo | {' | '.join(asked)} | {SECONDS:.2f} |")
    for name, found in figures.items():
        cells = []
        for part in PARTS:
            values = [one[part] for one in found]
            worst = float(np.nanmin(values))
            verdict = f" {'PASS' if worst >= SHARPNESS else 'short'}" if part in JUDGED else ""
            cells.append(
                f"{np.nanmean(values):.2f}; {worst:.2f} ({found[int(np.nanargmin(values))]['photo']}){verdict}"
            )
        seconds = [one["seconds"] for one in found]
        cells.append(f"{np.mean(seconds):.3f}; {max(seconds):.3f} {'PASS' if max(seconds) <= SECONDS else 'short'}")
        print(f"| {name}, {len(found)} photos: mean; worst | {' | '.join(cells)} |")


def _face(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The middle of the face at native size, CELL pixels square."""
    height, width = picture.shape[:2]
    center = landmarks[:, :2].mean(0)
    left, top = (int(np.clip(c - CELL / 2, 0, max(side - CELL, 0))) for c, side in zip(center, (width, height)))
    part = picture[top : top + CELL, left : left + CELL]
    return np.pad(part, ((0, CELL - part.shape[0]), (0, CELL - part.shape[1]), (0, 0)))


if __name__ == "__main__":
    main()
