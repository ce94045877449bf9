r"""Renderers against real frames of people that nothing was trained on.

    python scripts/evaluate_renderer.py --system still --system warp --system diffusion --sheet SHEET.png
    python scripts/evaluate_renderer.py --system warp --system diffusion:steps=4,detail=off \
        --system diffusion:weights=runs/unet/best

A system is `still` (the photo itself), `warp`, or `diffusion` with settings that differ from the defaults:
steps=NUMBER, geometry=off (no geometry conditioning), detail=off (no detail transfer), noise=own (not shared by the
frames), and weights=FOLDER, one with the renderer's two files or with a subfolder renderer, instead of --weights.

One clip of each person (the first with a face of at least 110 pixels). Photo: the clip's first frame, fitted exactly
with the clip's own identity; motion: the clip's own, tracked and smoothed. Twelve frames of each clip, evenly spaced
from frame 5 on, are rendered by `RenderPipeline` as for a user.

Measured on whole frames, and in boxes around the real frame's lips and lids (enlarged by 25 % of their width on each
side). `distance` is `shared.metrics.perceptual` (not LPIPS), boxes resized to 128 x 128. Identity is the cosine of a
frame's embedding with the photo's, aligned by the rendered mesh (real frames: by the tracked one). Sharpness is the
root mean square of the Laplacian within the face, over the real frame's. Static motion: two frames with the same
motion. Prints Markdown; means over people of a person's mean, except where frames are counted. The last table shows the
gain over the warp in the mouth box, and the targets. Sheets show other people's pictures: do not publish them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from renderer_tables import Results, print_gains, print_tables
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from fd2talk.commands.prepare import VIDEOS, Clip, find_clips
from fd2talk.evaluation.inputs.clip_reader import take_frames
from fd2talk.track import track_file
from shared.errors import UsageError
from shared.face_model.measures import lip_aperture
from shared.face_model.morphable import MorphableModel
from shared.faces.identity import IdentityEmbedder
from shared.media import read_video
from shared.metrics.image import flicker, sharpness
from shared.metrics.perceptual import SqueezeDistance
from shared.metrics.rendering import compare, face_mask, mouth_change, part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import load_track
from shared.tracking import motion_from_track, photo_of_clip
from stage2_render.pipeline import RenderPipeline

Renderer = Callable[[PhotoFit, Motion], Iterable[np.ndarray]]
SYSTEMS = ("still", "warp", "diffusion")
# Settings of a system: values and the argument of `RenderPipeline`.
SWITCHES = {
    "geometry": ({"on": True, "off": False}, "geometry_conditioning"),
    "detail": ({"on": True, "off": False}, "detail_transfer"),
    "noise": ({"shared": True, "own": False}, "shared_noise"),
}
_pipeline = cache(RenderPipeline.from_pretrained)
FIRST = 5  # earlier frames hardly differ from the photo
CELL = 256  # side in pixels of a picture on the sheet


@dataclass
class Case:
    """A clip's photo, the motion of the frames chosen from it, and the real frames.

    Args:
        person: whose face it shows.
        photo: the fitted first frame.
        motion: of the chosen frames.
        frames: the real frames.
        landmarks: tracked [T, 478, 3].
        numbers: of the frames in their clip [T].
    """

    person: str
    photo: PhotoFit
    motion: Motion
    frames: list[np.ndarray]
    landmarks: np.ndarray
    numbers: np.ndarray

    @property
    def opened(self) -> np.ndarray:
        """Each frame's lip aperture minus the photo's, in distances of the outer eye corners."""
        return lip_aperture(self.landmarks) - lip_aperture(self.photo.landmarks)

    @property
    def turned(self) -> np.ndarray:
        """Angle in degrees between each frame's head and the photo's."""
        turns = Rotation.from_rotvec(self.motion.rotation) * Rotation.from_rotvec(self.photo.rotation).inv()
        return np.degrees(turns.magnitude())

    @property
    def moved(self) -> np.ndarray:
        """Distance in pixels of the mean of the skull's rigid points from the photo's."""
        rigid = self.photo.model.groups["rigid"]
        return np.linalg.norm((self.landmarks - self.photo.landmarks)[:, rigid, :2].mean(1), axis=-1)


@click.command(help=__doc__)
@click.option("--data", default="../shared/data/clips", show_default=True, help="Folder of the clips.")
@click.option("--prepared", default=".cache/prepared", show_default=True, help="Their prepared data set.")
@click.option("--models", default="../shared/models", show_default=True, help="Folder of the metric networks.")
@click.option("--weights", default="bundled", show_default=True, help="Renderer weights.")
@click.option("--system", "names", multiple=True, default=["still", "warp"], show_default=True, help="Repeatable.")
@click.option("--split", default="val", show_default=True)
@click.option("--clips", type=click.Choice(["one", "all"]), default="one", show_default=True, help="Of each person.")
@click.option("--frames", default=12, show_default=True, help="Frames of each clip.")
@click.option("--limit", type=int, metavar="N", help="Only the first N clips.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="File for the values of every frame.")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write.")
def main(data, prepared, models, weights, names, split, clips, frames, limit, json_path, sheet) -> None:
    torch.set_num_threads(1)
    systems = {name: system(name, weights) for name in names}
    model = RenderPipeline.from_pretrained(weights).model
    network = SqueezeDistance(Path(models) / "squeezenet1_1_caffe.safetensors")
    embed = IdentityEmbedder(Path(models) / "mobilefacenet.onnx")
    results, sheet_rows = Results(), []
    for clip in tqdm(_choose_clips(data, split, clips == "all")[:limit]):
        case = load_case(clip, data, prepared, model, frames)
        if case is None:
            print(f"{clip.file}: no face in the first frame, or too few frames; skipped")
            continue
        rendered = {name: list(render(case.photo, case.motion)) for name, render in systems.items()}
        results.rows += measure(case, rendered, network, embed)
        for name, render in systems.items():
            still = case.motion.at(len(case.motion) // 2)
            results.flicker[name].append(flicker(render(case.photo, still.concat(still))))
        sheet_rows.append(_sheet_row(case, {name: f for name, f in rendered.items() if name != "still"}))
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(sheet_rows)[..., ::-1])
    if json_path:
        results.save(json_path)
    print_tables(results, names)
    print_gains(results, names)


def system(description: str, weights: str) -> Renderer:
    """Return the system's render function; weights: for a description that names none.

    Raises:
        UsageError: there is no such system.
    """
    name, weights, options = parse(description, weights)
    if name == "still":
        return lambda photo, motion: [photo.image] * len(motion)
    pipeline = _pipeline(weights, renderer="geometry" if name == "warp" else name)
    return lambda photo, motion: pipeline(photo, motion, full=True, relative=False, **options)


def parse(description: str, weights: str) -> tuple[str, str, dict[str, Any]]:
    """`diffusion:steps=4,weights=FOLDER` -> its name, its folder of weights, and arguments of `RenderPipeline`."""
    name, _, rest = description.partition(":")
    if name not in SYSTEMS or (rest and name != "diffusion"):
        raise UsageError(f"there is no system {description!r}; there are: {', '.join(SYSTEMS)}")
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        if key == "weights" and value:
            weights = value
        elif key == "steps" and value.isdigit():
            options["steps"] = int(value)
        elif key in SWITCHES and value in SWITCHES[key][0]:
            options[SWITCHES[key][1]] = SWITCHES[key][0][value]
        else:
            raise UsageError(f"{description}: {item!r} is no setting (steps=NUMBER, weights=FOLDER, geometry=off, ...)")
    return name, weights, options


def _choose_clips(data: str, split: str, every: bool) -> list[Clip]:
    """Clips of the split with large enough faces, in their order; the first of each person, or every one."""
    large = [c for c in find_clips(data, VIDEOS) if c.split == split and int(c.facts.get("face_px") or 999) >= 110]
    return large if every else list({clip.person: clip for clip in reversed(large)}.values())[::-1]


def load_case(clip: Clip, data: str, prepared: str, model: MorphableModel, count: int) -> Case | None:
    """Read a clip and its prepared track and motion, or track it; None: most of it, or its start, shows no face."""
    path, tracked = Path(data) / clip.file, Path(prepared) / "tracks" / f"{clip.name}.npz"
    track = load_track(tracked) if tracked.exists() else track_file(str(path), quiet=True)
    fitted = Path(prepared) / "motions" / f"{clip.name}.npz"
    motion = Motion.load(fitted) if fitted.exists() else None
    if motion is None or motion.face_model != model.fingerprint:
        motion = motion_from_track(model, track)
    pictures = list(read_video(path))
    usable = np.flatnonzero(track.confidence[: min(len(pictures), len(motion))] > 0)
    usable = usable[usable >= FIRST]
    if len(usable) < count or track.confidence[0] == 0:
        return None
    numbers = usable[np.linspace(0, len(usable) - 1, count).astype(int)]
    photo, frames = photo_of_clip(pictures[0], track, motion, model), [pictures[i] for i in numbers]
    return Case(clip.person, photo, take_frames(motion, numbers), frames, track.landmarks[numbers], numbers)


def measure(
    case: Case, rendered: dict[str, list[np.ndarray]], network: SqueezeDistance, embed: IdentityEmbedder
) -> list[dict]:
    """Return a record for each frame of each system, and of the real frames (`real`: identity only)."""
    photo, motion = case.photo, case.motion
    own = embed(photo.image, photo.landmarks)
    meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
    records = []
    for i, (real, points) in enumerate(zip(case.frames, case.landmarks)):
        size = real.shape[:2]
        boxes, mask = part_boxes(points, size), face_mask(points, size)
        facts = {
            "person": case.person,
            "frame": int(case.numbers[i]),
            "mouth": mouth_change(points, photo.landmarks),
            "moved": float(case.moved[i]),
            "turned": float(case.turned[i]),
        }
        records.append({**facts, "system": "real", "identity": float(own @ embed(real, points))})
        for name, frames in rendered.items():
            frame, mesh = frames[i], photo.landmarks if name == "still" else meshes[i]
            values = compare(frame, real, boxes, network) | {"identity": float(own @ embed(frame, mesh))}
            values["sharpness"] = sharpness(frame, mask) / sharpness(real, mask)
            records.append({**facts, "system": name, **values})
    return records


def _sheet_row(case: Case, rendered: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Photo; then real and each system at the widest mouth, that mouth enlarged twice, and at the largest turn."""
    wide, turned = int(case.opened.argmax()), int(case.turned.argmax())
    x0, y0, x1, y1 = part_boxes(case.landmarks[wide], case.frames[wide].shape[:2])["mouth"][0]
    height, width = case.photo.image.shape[:2]
    left = int(np.clip((x0 + x1) // 2 - 64, 0, width - 128))
    top = int(np.clip((y0 + y1) // 2 - 64, 0, height - 128))

    def mouth(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture[top : top + 128, left : left + 128], (CELL, CELL), interpolation=cv2.INTER_CUBIC)

    def whole(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA)

    cells = [whole(case.photo.image)]
    for shrink, index in ((whole, wide), (mouth, wide), (whole, turned)):
        cells += [shrink(pictures[index]) for pictures in (case.frames, *rendered.values())]
    return np.hstack(cells)


if __name__ == "__main__":
    main()
