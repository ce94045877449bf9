"""Still pictures that nobody trained on, made to talk: sheets to look at, identity, flicker.

    python scripts/evaluate_pictures.py ../shared/data/portraits --split val --count 20 \
        --identity ../shared/models/mobilefacenet.onnx --sheet /tmp/portraits.png

Each row of the sheet: the photo, then frames of it speaking the bundled recording, the widest open and the most closed
mouth among them. Identity is the cosine of each frame's embedding with the photo's, frames tracked again. Flicker is
the mean absolute difference of two frames of one unchanging motion. Sheets show other people's pictures: keep them.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import cv2
import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.media import read_audio, read_image
from shared.photo import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="val", show_default=True)
@click.option("--count", default=20, show_default=True)
@click.option("--identity", type=click.Path(exists=True), help="face-recognition network (ONNX)")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write")
@click.option("--cell", default=256, show_default=True)
def main(folder: Path, split: str, count: int, identity: str | None, sheet: Path | None, cell: int) -> None:
    manifest = folder / "manifest.csv"
    if manifest.exists():
        files = [row["file"] for row in csv.DictReader(open(manifest)) if row["split"] == split]
    else:
        files = sorted(p.name for p in folder.glob("*.jpg"))
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    motions, renderer = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    embed = IdentityEmbedder(identity) if identity else None
    audio = read_audio(bundled(SPEECH))
    rows, cosines, flicker, lost = [], {}, [], 0
    for name in tqdm(files):
        try:
            photo = PhotoFit.fit(read_image(folder / name), motions.face_model)
        except InputError as error:
            print(f"{name}: {error}")
            continue
        motion = motions(audio, photo=photo, seed=len(rows))
        aperture = lip_aperture(photo.vertices(motion.expression))
        picks = sorted(
            {int(aperture.argmax()), int(aperture.argmin()), *np.linspace(5, len(motion) - 1, 4).astype(int)}
        )
        frames = list(renderer(photo, motion, full=False))
        reference = next(iter(renderer(photo, motions_still(photo, motion), full=False)))
        still = motion.at(int(aperture.argmax()))
        twice = list(renderer(photo, still.concat(still), full=False, relative=False))
        flicker.append(float(np.abs(twice[0].astype(float) - twice[1]).mean()))
        if embed:
            vectors = []
            for frame in [reference, *(frames[i] for i in picks)]:
                try:
                    vectors.append(embed(frame, track_photo(frame)))
                except InputError:
                    vectors.append(None)
                    lost += 1
            if vectors[0] is not None:
                cosines[name] = [float(vectors[0] @ v) for v in vectors[1:] if v is not None]
        shown = [
            cv2.resize(f, (cell, cell), interpolation=cv2.INTER_AREA) for f in [reference, *(frames[i] for i in picks)]
        ]
        rows.append(np.hstack((shown + [np.zeros((cell, cell, 3), np.uint8)] * 7)[:7]))
    if sheet:
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])
    print(f"| pictures made to talk | {len(rows)} of {len(files)} |\n|---|---|")
    if cosines:
        means = np.array([np.mean(v) for v in cosines.values()])
        print(f"| identity cosine to the photo: mean | {means.mean():.3f} |")
        print(f"| lowest picture | {means.min():.3f} ({list(cosines)[means.argmin()]}) |")
        print(f"| pictures at 0.80 or more | {np.mean(means >= 0.8):.2f} |")
        print(f"| frames in which no face was found again | {lost} |")
    print(f"| unchanging motion: mean absolute frame difference | {max(flicker):.3f} / 255 |")


def motions_still(photo: PhotoFit, motion):
    """One frame of the photo as it is."""
    still = motion.at(0)
    still.expression[0], still.rotation[0], still.translation[0] = photo.expression, photo.rotation, photo.translation
    return still


if __name__ == "__main__":
    main()
