r"""Animated still pictures that nobody trained on: sheets for visual inspection, identity, flicker.

    python scripts/evaluate_pictures.py ../shared/data/portraits --split val --count 20 \
        --identity ../shared/models/mobilefacenet.onnx --sheet SHEET.png

The pictures speak the bundled recording. Each row of the sheet, one for each renderer: the photo, the frame with the
widest mouth, that frame with the head turned by 15 degrees to each side, the one with the most closed mouth, the one
with the largest head turn, and one more. Identity is the cosine of each frame's embedding with the photo's, frames
tracked again. Flicker is the mean absolute difference of two frames with the same motion. Sheets show other people's
pictures: do not publish them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import cv2
import numpy as np
from demo import demo_speech, fit_photos, picture_files
from markdown_tables import print_head, print_row
from scipy.spatial.transform import Rotation

from fd2talk.evaluation.inputs.clip_reader import take_frames
from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.metrics.image import flicker
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.pipeline import MotionPipeline
from stage2_render import RENDERERS
from stage2_render.pipeline import RenderPipeline

TURN = 15.0  # degrees to either side, of two of the frames


@dataclass
class Results:
    """Measurements of one renderer.

    Args:
        cosines: picture -> cosine of each frame with the photo.
        flicker: of each picture.
        lost: number of frames in which no face was found.
    """

    cosines: dict[str, list[float]] = field(default_factory=dict)
    flicker: list[float] = field(default_factory=list)
    lost: int = 0


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="val", show_default=True)
@click.option("--count", default=20, show_default=True, help="Number of pictures.")
@click.option("--renderer", "names", multiple=True, type=click.Choice(RENDERERS), default=("geometry", "repair"))
@click.option("--weights", default="bundled", show_default=True, help="Renderer weights.")
@click.option("--identity", type=click.Path(exists=True), help="Face-recognition network (ONNX).")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write.")
@click.option("--cell", default=256, show_default=True, help="Side in pixels of a picture on the sheet.")
def main(folder, split, count, names, weights, identity, sheet, cell) -> None:
    files = picture_files(folder, split)
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    motions = MotionPipeline.from_pretrained()
    renderers = {name: RenderPipeline.from_pretrained(weights, renderer=name) for name in names}
    warp = RenderPipeline(motions.face_model)
    embed = IdentityEmbedder(identity) if identity else None
    audio = demo_speech()
    results = {name: Results() for name in names}
    rows, animated = [], 0
    for file, photo in fit_photos(folder, files, motions.face_model):
        chosen = choose(photo, motions(audio, photo=photo, seed=animated))
        animated += 1
        own = next(iter(warp(photo, _still(photo, chosen), full=False, relative=False)))
        for name, render in renderers.items():
            frames = list(render(photo, chosen, full=False, relative=False))
            pictures = (cv2.resize(frame, (cell, cell), interpolation=cv2.INTER_AREA) for frame in (own, *frames))
            rows.append(np.hstack([*pictures]))
            one = chosen.at(0)
            results[name].flicker.append(flicker(render(photo, one.concat(one), full=False, relative=False)))
            if embed:
                _add_identity(results[name], file, own, frames, embed)
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])
    print_table(results, animated, len(files))


def choose(photo: PhotoFit, motion: Motion) -> Motion:
    """Return the sheet's frames, those that are the hardest to render."""
    aperture = lip_aperture(photo.vertices(motion.expression))
    head = Rotation.from_rotvec(photo.rotation)
    turned = (Rotation.from_rotvec(motion.rotation) * head.inv()).magnitude()
    wide = int(aperture.argmax())
    chosen = take_frames(motion, [wide, wide, wide, int(aperture.argmin()), int(turned.argmax()), len(motion) // 2])
    for row, angle in ((1, TURN), (2, -TURN)):
        chosen.rotation[row] = (Rotation.from_euler("y", angle, degrees=True) * head).as_rotvec()
    return chosen


def _still(photo: PhotoFit, motion: Motion) -> Motion:
    """One frame with the photo's own expression and pose."""
    own = {name: getattr(photo, name)[None] for name in ("expression", "rotation", "translation")}
    return replace(motion.at(0), **own)


def _add_identity(
    results: Results, file: str, own: np.ndarray, frames: list[np.ndarray], embed: IdentityEmbedder
) -> None:
    vectors = []
    for frame in (own, *frames):
        try:
            vectors.append(embed(frame, track_photo(frame)))
        except InputError:
            vectors.append(None)
            results.lost += 1
    if vectors[0] is not None:
        results.cosines[file] = [float(vectors[0] @ v) for v in vectors[1:] if v is not None]


def print_table(results: dict[str, Results], animated: int, total: int) -> None:
    every = list(results.values())
    print_head(["", *results])
    print_row(["pictures animated", *[f"{animated} of {total}"] * len(results)])
    if all(one.cosines for one in every):
        means = [{file: float(np.mean(values)) for file, values in one.cosines.items() if values} for one in every]
        print_row(["identity cosine to the photo: mean", *(f"{np.mean([*m.values()]):.3f}" for m in means)])
        print_row(["lowest picture", *(f"{min(m.values()):.3f} ({min(m, key=m.get)})" for m in means)])
        print_row(["pictures at 0.80 or more", *(f"{np.mean([v >= 0.8 for v in m.values()]):.2f}" for m in means)])
        print_row(["frames in which no face was found", *(one.lost for one in every)])
    print_row(["static motion: mean absolute frame difference", *(f"{max(one.flicker):.3f} / 255" for one in every)])


if __name__ == "__main__":
    main()
