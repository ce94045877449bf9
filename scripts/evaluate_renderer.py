"""Renderers against real frames of people that nothing was trained on.

    python scripts/evaluate_renderer.py --system still --system warp --system diffusion --sheet SHEET.png
    python scripts/evaluate_renderer.py --system warp --system diffusion:steps=4,detail=off \\
        --system diffusion:weights=runs/unet/best

A system is `still` (the photo itself), `warp`, or `diffusion` with what differs from the defaults: steps=NUMBER,
geometry=off (no geometry guidance), detail=off (no detail transfer), noise=own (not shared by the frames), and
weights=FOLDER, one of the renderer's two files or one with a subfolder renderer, instead of --weights.

One clip of each person (the first whose face was at least 110 pixels high). Photo: the clip's first frame, fitted with
the clip's own identity and met exactly; motion: the clip's own, tracked and smoothed. Twelve frames a clip, spread
evenly from frame 5 on, go through `RenderPipeline` as a user's would.

Whole frames, and boxes round the real frame's lips and lids (25 % of their width larger on every side). `distance` is
`shared.metrics.perceptual` (not LPIPS), boxes enlarged to 128 x 128. Identity is the cosine of a frame's embedding with
the photo's, aligned by the mesh that was to be rendered (by the tracked one for real frames). Sharpness is the root
mean square of the Laplacian within the face, over the real frame's. Unchanging motion: two frames of it. Prints
Markdown; means over people of a person's mean, but over frames where frames are counted. The last table says what is
won over the warp in the mouth box, and beside it what was asked for. Sheets show other people's pictures: keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from renderer_tables import Findings, print_tables, print_wins
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from fd2talk.commands.prepare import VIDEOS, Clip, find_clips
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
# What may be switched: values and the argument of `RenderPipeline`.
SWITCHES = {
    "geometry": ({"on": True, "off": False}, "geometry_guidance"),
    "detail": ({"on": True, "off": False}, "detail_transfer"),
    "noise": ({"shared": True, "own": False}, "shared_noise"),
}
FIRST = 5  # the frames before it are all but the photo
CELL = 256  # side in pixels of a picture on the sheet


@dataclass
class Case:
    """A clip's photo, the motion of the frames picked from it, and what they are to look like."""

    person: str
    photo: PhotoFit
    motion: Motion
    frames: list[np.ndarray]
    landmarks: np.ndarray  # tracked [T, 478, 3]
    numbers: np.ndarray  # of the frames in their clip [T]

    @property
    def opened(self) -> np.ndarray:
        """By how much each frame's lip aperture exceeds the photo's, in distances of the outer eye corners."""
        return lip_aperture(self.landmarks) - lip_aperture(self.photo.landmarks)

    @property
    def turned(self) -> np.ndarray:
        """Angle in degrees between each frame's head and the photo's."""
        turns = Rotation.from_rotvec(self.motion.rotation) * Rotation.from_rotvec(self.photo.rotation).inv()
        return np.degrees(turns.magnitude())

    @property
    def moved(self) -> np.ndarray:
        """Pixels that the middle of the skull's fixed points has moved since the photo."""
        rigid = self.photo.model.groups["rigid"]
        return np.linalg.norm((self.landmarks - self.photo.landmarks)[:, rigid, :2].mean(1), axis=-1)


@click.command(help=__doc__)
@click.option("--data", default="../shared/data/clips", show_default=True, help="folder of the clips")
@click.option("--prepared", default=".cache/prepared", show_default=True, help="what `fd2talk prepare` made of them")
@click.option("--models", default="../shared/models", show_default=True, help="folder of the judges")
@click.option("--weights", default="bundled", show_default=True)
@click.option("--system", "names", multiple=True, default=["still", "warp"], show_default=True, help="may be repeated")
@click.option("--split", default="val", show_default=True)
@click.option("--clips", type=click.Choice(["one", "all"]), default="one", show_default=True, help="clips of a person")
@click.option("--frames", default=12, show_default=True, help="frames of a clip")
@click.option("--limit", type=int, help="first so many clips only")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="file for every frame's figures")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write")
def main(data, prepared, models, weights, names, split, clips, frames, limit, json_path, sheet) -> None:
    torch.set_num_threads(1)
    systems = {name: system(name, weights) for name in names}
    model = RenderPipeline.from_pretrained(weights).model
    network = SqueezeDistance(Path(models) / "squeezenet1_1_caffe.safetensors")
    embed = IdentityEmbedder(Path(models) / "mobilefacenet.onnx")
    found, tiles = Findings(), []
    for clip in tqdm(_chosen(data, split, clips == "all")[:limit]):
        case = load_case(clip, data, prepared, model, frames)
        if case is None:
            print(f"{clip.file}: no face in the first frame, or too few frames; left out")
            continue
        made = {name: list(run(case.photo, case.motion)) for name, run in systems.items()}
        found.rows += measure(case, made, network, embed)
        for name in systems:
            still = case.motion.at(len(case.motion) // 2)
            found.rests[name].append(flicker(systems[name](case.photo, still.concat(still))))
        tiles.append(_row_of_sheet(case, {name: f for name, f in made.items() if name != "still"}))
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(tiles)[..., ::-1])
    if json_path:
        found.save(json_path)
    print_tables(found, names)
    print_wins(found, names)


def system(description: str, weights: str) -> Renderer:
    """What renders; weights: for a description that names none. Raises UsageError: there is no such system."""
    name, weights, options = parse(description, weights)
    if name == "still":
        return lambda photo, motion: [photo.image] * len(motion)
    pipeline = _pipeline(weights, "geometry" if name == "warp" else name)
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


@cache
def _pipeline(weights: str, renderer: str) -> RenderPipeline:
    return RenderPipeline.from_pretrained(weights, renderer=renderer)


def _chosen(data: str, split: str, every: bool) -> list[Clip]:
    """Clips of the split with large enough faces, in their order; of each person the first, or every one."""
    sharp = [c for c in find_clips(data, VIDEOS) if c.split == split and int(c.facts.get("face_px") or 999) >= 110]
    return sharp if every else list({clip.person: clip for clip in reversed(sharp)}.values())[::-1]


def load_case(clip: Clip, data: str, prepared: str, model: MorphableModel, count: int) -> Case | None:
    """Read a clip with what is known of it, tracking it where nothing is. None: its start or most of it has no face."""
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
    picks = usable[np.linspace(0, len(usable) - 1, count).astype(int)]
    frames = replace(
        motion,
        expression=motion.expression[picks],
        rotation=motion.rotation[picks],
        translation=motion.translation[picks],
        confidence=None,
        audio=None,
    )
    photo = photo_of_clip(pictures[0], track, motion, model)
    return Case(clip.person, photo, frames, [pictures[i] for i in picks], track.landmarks[picks], picks)


def measure(
    case: Case, made: dict[str, list[np.ndarray]], network: SqueezeDistance, embed: IdentityEmbedder
) -> list[dict]:
    """One record for each frame of each system, and of the real frames (`real`: identity alone)."""
    photo, motion = case.photo, case.motion
    own = embed(photo.image, photo.landmarks)
    meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
    records = []
    for i, (real, points) in enumerate(zip(case.frames, case.landmarks)):
        size = real.shape[:2]
        boxes, mask = part_boxes(points, size), face_mask(points, size)
        about = {
            "person": case.person,
            "frame": int(case.numbers[i]),
            "mouth": mouth_change(points, photo.landmarks),
            "moved": float(case.moved[i]),
            "turned": float(case.turned[i]),
        }
        records.append({**about, "system": "real", "identity": float(own @ embed(real, points))})
        for name, frames in made.items():
            frame, mesh = frames[i], photo.landmarks if name == "still" else meshes[i]
            records.append(
                {
                    **about,
                    "system": name,
                    **compare(frame, real, boxes, network),
                    "identity": float(own @ embed(frame, mesh)),
                    "sharpness": sharpness(frame, mask) / sharpness(real, mask),
                }
            )
    return records


def _row_of_sheet(case: Case, made: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Photo; then real and each system at the widest mouth, that mouth twice as large, and at the widest turn."""
    wide, turned = int(case.opened.argmax()), int(case.turned.argmax())
    x0, y0, x1, y1 = part_boxes(case.landmarks[wide], case.frames[wide].shape[:2])["mouth"][0]
    height, width = case.photo.image.shape[:2]
    left = int(np.clip((x0 + x1) // 2 - 64, 0, width - 128))
    top = int(np.clip((y0 + y1) // 2 - 64, 0, height - 128))

    def mouth(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture[top : top + 128, left : left + 128], (CELL, CELL), interpolation=cv2.INTER_CUBIC)

    def whole(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA)

    columns = [case.frames, *made.values()]
    return np.hstack(
        [
            whole(case.photo.image),
            *(whole(pictures[wide]) for pictures in columns),
            *(mouth(pictures[wide]) for pictures in columns),
            *(whole(pictures[turned]) for pictures in columns),
        ]
    )


if __name__ == "__main__":
    main()
