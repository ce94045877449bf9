r"""How much of mouth and lids is painted: what other shares of the repair's networks would cost or bring.

    python scripts/evaluate_shares.py films ../shared/data/clips .cache/prepared ../shared/models
    python scripts/evaluate_shares.py photos PHOTO ...                        # default: the demo portraits

`films`: filmed people driven by their own motion, one clip each, from the clip's first frame. Mouths: three of the
widest of clips that begin with a closed one; lids: frames in which they are half-way, open by .45 to .75 of the first
frame's. PSNR, distance (SqueezeDistance) and sharpness over the real one's, of the box of the mouth (means over people)
and the boxes of the eyes (means over frames).

`photos`: photos speak a bundled recording, and their frames are tracked again. r: correlation of the seen lip aperture
with that of the motion; spread: their standard deviations' ratio. Means, and the lowest photo.

Painted is the share of a part that its network paints, where it repairs it in full; the rest is the warp's. `default`
is what the renderer takes (`stage2_render/repair/shares.py`). Prints Markdown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click
import cv2
import numpy as np
import torch
from demo import demo_speech
from evaluate_renderers import chosen_clips
from markdown_tables import print_head, print_row
from tqdm import tqdm

from shared.face_model.measures import lid_gap, lip_aperture
from shared.faces.tracker import track_video
from shared.media import read_image
from shared.metrics.image import psnr, sharpness
from shared.metrics.perceptual import SqueezeDistance, picture_distance
from shared.metrics.rendering import part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_motion, track_of
from shared.tracking import photo_of_clip
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.renderer import RepairRenderer
from stage2_render.repair.shares import Share

_CLOSED, _WIDER = 0.05, 0.1  # aperture of a closed mouth, and by how much wide ones are wider
_MOUTHS, _APART = 3, 4  # of a clip; so many of the widest frames are passed over between two
_LIDS = (0.45, 0.75)  # opening over the first frame's
_LIDS_EACH, _LIDS_APART = 4, 15
Figures = tuple[float, float, float]
painted_option = click.option(
    "--painted", multiple=True, type=click.FloatRange(0, 1), default=(0, 0.4, 0.55, 0.75, 1), show_default=True
)


@click.group(help=__doc__)
def main() -> None:
    torch.set_num_threads(1)


@main.command(help="Filmed people against their films.")
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("models", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="val", show_default=True)
@click.option("--min-face", default=110, show_default=True, help="Least height of the face in pixels.")
@painted_option
def films(clips, prepared, models, split, min_face, painted) -> None:
    pipeline = RenderPipeline.from_pretrained()
    distance = SqueezeDistance(models / "squeezenet1_1_caffe.safetensors")
    mouths: dict[str, list[np.ndarray]] = defaultdict(list)
    lids: list[np.ndarray] = []
    for row in tqdm(chosen_clips(prepared, split, min_face, 1), leave=False):
        filmed, track = list(clip_frames(clips, row)), track_of(prepared, row["name"])
        motion = load_motion(prepared, row["name"], face_model=pipeline.model.fingerprint)
        photo = photo_of_clip(filmed[0], track, motion, pipeline.model)
        count = min(len(filmed), len(motion))
        landmarks, renderer = track.landmarks[:count], RepairRenderer(photo, pipeline.networks)
        meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
        for part, numbers in (("mouth", wide_mouths(landmarks)), ("eyes", half_way_lids(landmarks))):
            for number in numbers:
                boxes = part_boxes(landmarks[number], filmed[number].shape[:2])[part]
                frames = [rendered(renderer, meshes[number], share) for share in (None, *painted)]
                figures = np.array([compared(frame, filmed[number], boxes, distance) for frame in frames])
                mouths[row["person"]].append(figures) if part == "mouth" else lids.append(figures)
    sides = np.mean([np.mean(of_person, axis=0) for of_person in mouths.values()], axis=0), np.mean(lids, axis=0)
    more = ["distance", "sharpness over real"]
    print_head(["painted", f"mouths of {len(mouths)} people: PSNR", *more, f"{len(lids)} lids: PSNR", *more])
    for index, share in enumerate(("default", *painted)):
        print_row([share, *(f"{v:.{n}f}" for side in sides for v, n in zip(side[index], (1, 3, 2)))])


@main.command(help="Are painted lips seen as those of the motion?")
@click.argument("photos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@painted_option
def photos(photos, painted) -> None:
    generate, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    speech, found = demo_speech(), defaultdict(list)
    for path in tqdm(photos or sorted(bundled("demo").glob("*.jpg")), leave=False):
        photo = PhotoFit.fit(read_image(path), generate.face_model)
        motion = generate(speech, photo=photo)
        for share in (None, *painted):
            with painting(share):
                found[share].append(seen(render(photo, motion), photo, motion))
    print_head(["painted", "r", "lowest", "spread", "lowest"])
    for share, values in found.items():
        cells = [f"{v:.2f}" for column in np.transpose(values) for v in (column.mean(), column.min())]
        print_row(["default" if share is None else share, *cells])


def wide_mouths(landmarks: np.ndarray) -> list[int]:
    """The numbers of the widest mouths of a clip [T, 478, 3] that begins with a closed one."""
    aperture = lip_aperture(landmarks)
    widest = np.argsort(-aperture)[: _MOUTHS * _APART : _APART]
    return [int(k) for k in widest if aperture[0] < _CLOSED and aperture[k] - aperture[0] >= _WIDER]


def half_way_lids(landmarks: np.ndarray) -> list[int]:
    """The numbers of frames of a clip [T, 478, 3] whose lids are half-way between open, as at first, and shut."""
    # In pixels, y points down.
    opening = lid_gap(-landmarks) / np.linalg.norm(landmarks[:, 33, :2] - landmarks[:, 263, :2], axis=1)
    if opening[0] <= 0.6 * np.median(opening):
        return []  # it begins in a blink
    low, high = _LIDS
    share = opening / max(float(opening[0]), 1e-6)
    return np.flatnonzero((share >= low) & (share < high))[: _LIDS_EACH * _LIDS_APART : _LIDS_APART].tolist()


def rendered(renderer: RepairRenderer, mesh: np.ndarray, share: float | None) -> np.ndarray:
    """A frame uint8 [H, W, 3] of which this share is painted; None: the renderer's own."""
    own = renderer.shares
    try:
        renderer.shares = own if share is None else [replace(one, warp=1 - share) for one in own]
        return renderer.paint([renderer.prepare(mesh)])[0]
    finally:
        renderer.shares = own


@contextmanager
def painting(share: float | None) -> Iterator[None]:
    """Renderers that are made meanwhile paint this share of everything; None: their own."""
    own = Share.of
    if share is None:
        yield
        return
    with patch.object(Share, "of", lambda *arguments: replace(own(*arguments), warp=1 - share)):
        yield


def compared(frame: np.ndarray, real: np.ndarray, boxes: list, distance: Callable) -> Figures:
    """PSNR, distance and relative sharpness within boxes of two frames."""
    mask = np.zeros(real.shape[:2], np.uint8)
    for x0, y0, x1, y1 in boxes:
        cv2.rectangle(mask, (x0, y0), (x1 - 1, y1 - 1), 1, cv2.FILLED)
    apart = float(np.mean([picture_distance(distance, frame, real, box) for box in boxes]))
    inside = mask.astype(bool)
    return psnr(frame, real, boxes), apart, sharpness(frame, inside) / sharpness(real, inside)


def seen(frames: Iterable[np.ndarray], photo: PhotoFit, motion: Motion) -> tuple[float, float]:
    """Correlation and relative spread of the lips that are tracked in frames, and those of the motion."""
    tracked = list(track_video(frames))
    given = lip_aperture(photo.vertices_px(motion.expression, motion.rotation, motion.translation))
    known = [k for k, points in enumerate(tracked) if points is not None]
    found = np.array([lip_aperture(tracked[k]) for k in known])
    return float(np.corrcoef(found, given[known])[0, 1]), float(found.std() / given[known].std())


if __name__ == "__main__":
    main()
