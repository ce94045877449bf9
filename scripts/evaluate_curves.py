"""Compare exported ARKit curves with those that mediapipe's landmarker sees in the rendered video.

    python scripts/evaluate_curves.py face_landmarker.task PHOTO.jpg SPEECH.wav... [PHOTO.jpg SPEECH.wav...]

Every photo says the recordings that follow it; motion, video and curves are made here with the defaults. The landmarker
is the teacher of the map from expression to scores, so that this measures how well the chain from motion to picture
keeps the curves, not whether they are right.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row

from shared.arkit import NAMES, load_arkit_map
from shared.media import FPS, read_audio, read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

# Standard deviation of a score within a clip below which the clip does not show it.
MOVES = 0.01


def teacher_scores(landmarker: Path, frames: object) -> np.ndarray:
    """Scores [T, 52] of the frames in the order of `NAMES`; nan where no face is found."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)), output_face_blendshapes=True, num_faces=1
    )
    rows = []
    with vision.FaceLandmarker.create_from_options(options) as teacher:
        for frame in frames:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            found = teacher.detect(image).face_blendshapes
            scores = {category.category_name: category.score for category in found[0]} if found else {}
            rows.append([scores.get(name, 0.0 if found else np.nan) for name in NAMES])
    return np.array(rows)


def clips(arguments: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of photo and recording."""
    photo, pairs = None, []
    for path in arguments:
        if path.lower().endswith(".wav"):
            if photo is None:
                raise click.UsageError("a photo must come before the recordings")
            pairs.append((photo, path))
        else:
            photo = path
    return pairs


def correlations(curves: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[52], nan where the teacher's score does not move or the curve is constant."""
    result = np.full(len(NAMES), np.nan)
    seen = ~np.isnan(scores).any(1)
    for k in range(len(NAMES)):
        a, b = curves[seen, k], scores[seen, k]
        if b.std() > MOVES:
            result[k] = np.corrcoef(a, b)[0, 1] if a.std() > 1e-6 else 0.0
    return result


@click.command(help=__doc__)
@click.argument("landmarker", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--renderer", default="geometry", show_default=True)
def main(landmarker: Path, inputs: tuple[str, ...], renderer: str) -> None:
    stage1, stage2 = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained(renderer=renderer)
    found, spreads = [], []
    for image, recording in clips(inputs):
        photo = PhotoFit.fit(read_image(image))
        motion: Motion = stage1(read_audio(recording), photo=photo).resample(FPS)
        scores = teacher_scores(landmarker, stage2(photo, motion, full=False, max_size=512))
        found.append(correlations(load_arkit_map().fit(motion)[0], scores))
        spreads.append(np.nanstd(scores, axis=0))
        click.echo(f"{Path(image).name}, {Path(recording).name}: {len(motion)} frames", err=True)
    values, spread = np.array(found), np.mean(spreads, axis=0)
    print_head(["curve", "std. deviation of the score", "clips in which it moves", "median r", "lowest r"])
    for k, name in enumerate(NAMES):
        moved = values[~np.isnan(values[:, k]), k]
        if len(moved):
            print_row([name, f"{spread[k]:.3f}", len(moved), f"{np.median(moved):.2f}", f"{moved.min():.2f}"])
    unmoved = [name for k, name in enumerate(NAMES) if np.isnan(values[:, k]).all()]
    click.echo(f"\nNot moved in any clip: {', '.join(unmoved)}.")
    medians = np.nanmedian(values[:, ~np.isnan(values).all(0)], axis=0)
    click.echo(f"Median over curves of the median over clips: {np.median(medians):.2f}.")


if __name__ == "__main__":
    main()
