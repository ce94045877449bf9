"""Still pictures that nobody trained on, made to talk: sheets to look at, identity, flicker.

    python scripts/evaluate_pictures.py ../shared/data/portraits --split val --count 20 --renderer both \\
        --identity ../shared/models/mobilefacenet.onnx --sheet SHEET.png

Each row of the sheet: the photo; then, of it speaking the bundled recording, the widest open mouth, that again with the
head turned by 15 degrees to each side, the most closed mouth, the frame with the head turned furthest, and one more. A
row for each renderer. Identity is the cosine of each frame's embedding with the photo's, frames tracked again. Flicker
is the mean absolute difference of two frames of one unchanging motion. Sheets show other people's pictures: keep them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import cv2
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.media import read_audio, read_image
from shared.metrics.image import flicker
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render import RENDERERS
from stage2_render.pipeline import RenderPipeline

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"
TURN = 15.0  # degrees to either side, of two of the frames


@dataclass
class Figures:
    """Of one renderer: picture -> its frames' cosines with the photo; flicker of each picture; frames in which no face
    was found again."""

    cosines: dict[str, list[float]] = field(default_factory=dict)
    flicker: list[float] = field(default_factory=list)
    lost: int = 0


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="val", show_default=True)
@click.option("--count", default=20, show_default=True)
@click.option("--renderer", type=click.Choice([*RENDERERS, "both"]), default="geometry", show_default=True)
@click.option("--weights", default="bundled", show_default=True, help="of the renderer")
@click.option("--identity", type=click.Path(exists=True), help="face-recognition network (ONNX)")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write")
@click.option("--cell", default=256, show_default=True)
def main(folder, split, count, renderer, weights, identity, sheet, cell) -> None:
    files = _files(folder, split, count)
    motions = MotionPipeline.from_pretrained()
    names = RENDERERS if renderer == "both" else [renderer]
    renderers = {name: RenderPipeline.from_pretrained(weights, renderer=name) for name in names}
    warp = RenderPipeline(motions.face_model)
    embed = IdentityEmbedder(identity) if identity else None
    audio = read_audio(bundled(SPEECH))
    figures = {name: Figures() for name in names}
    rows, talking = [], 0
    for file in tqdm(files):
        try:
            photo = PhotoFit.fit(read_image(folder / file), motions.face_model)
        except InputError as error:
            print(f"{file}: {error}")
            continue
        chosen = choose(photo, motions(audio, photo=photo, seed=talking))
        talking += 1
        own = next(iter(warp(photo, _unmoved(photo, chosen), full=False, relative=False)))
        for name, render in renderers.items():
            frames = list(render(photo, chosen, full=False, relative=False))
            shown = (cv2.resize(frame, (cell, cell), interpolation=cv2.INTER_AREA) for frame in (own, *frames))
            rows.append(np.hstack([*shown]))
            still = chosen.at(0)
            figures[name].flicker.append(flicker(render(photo, still.concat(still), full=False, relative=False)))
            if embed:
                _identify(figures[name], file, own, frames, embed)
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])
    print_table(figures, talking, len(files))


def _files(folder: Path, split: str, count: int) -> list[str]:
    manifest = folder / "manifest.csv"
    if manifest.exists():
        files = [row["file"] for row in csv.DictReader(open(manifest)) if row["split"] == split]
    else:
        files = sorted(p.name for p in folder.glob("*.jpg"))
    return [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]


def choose(photo: PhotoFit, motion: Motion) -> Motion:
    """The sheet's frames: those that ask most of a renderer."""
    aperture = lip_aperture(photo.vertices(motion.expression))
    head = Rotation.from_rotvec(photo.rotation)
    turned = (Rotation.from_rotvec(motion.rotation) * head.inv()).magnitude()
    wide = int(aperture.argmax())
    picks = [wide, wide, wide, int(aperture.argmin()), int(turned.argmax()), len(motion) // 2]
    rotation = motion.rotation[picks]
    for row, angle in ((1, TURN), (2, -TURN)):
        rotation[row] = (Rotation.from_euler("y", angle, degrees=True) * head).as_rotvec()
    return replace(
        motion,
        expression=motion.expression[picks],
        rotation=rotation,
        translation=motion.translation[picks],
        confidence=None,
        audio=None,
    )


def _unmoved(photo: PhotoFit, motion: Motion) -> Motion:
    """One frame of the photo as it is."""
    own = (photo.expression[None], photo.rotation[None], photo.translation[None])
    return replace(motion.at(0), expression=own[0], rotation=own[1], translation=own[2])


def _identify(figures: Figures, file: str, own: np.ndarray, frames: list[np.ndarray], embed: IdentityEmbedder) -> None:
    vectors = []
    for frame in (own, *frames):
        try:
            vectors.append(embed(frame, track_photo(frame)))
        except InputError:
            vectors.append(None)
            figures.lost += 1
    if vectors[0] is not None:
        figures.cosines[file] = [float(vectors[0] @ v) for v in vectors[1:] if v is not None]


def print_table(figures: dict[str, Figures], talking: int, asked: int) -> None:
    def row(label: str, cells: list[str]) -> None:
        print(f"| {label} | {' | '.join(cells)} |")

    every = list(figures.values())
    row("", list(figures))
    print(f"|{'---|' * (len(figures) + 1)}")
    row("pictures made to talk", [f"{talking} of {asked}"] * len(figures))
    if all(one.cosines for one in every):
        means = [{file: float(np.mean(values)) for file, values in one.cosines.items() if values} for one in every]
        row("identity cosine to the photo: mean", [f"{np.mean([*m.values()]):.3f}" for m in means])
        row("lowest picture", [f"{min(m.values()):.3f} ({min(m, key=m.get)})" for m in means])
        row("pictures at 0.80 or more", [f"{np.mean([v >= 0.8 for v in m.values()]):.2f}" for m in means])
        row("frames in which no face was found again", [str(one.lost) for one in every])
    row("unchanging motion: mean absolute frame difference", [f"{max(one.flicker):.3f} / 255" for one in every])


if __name__ == "__main__":
    main()
