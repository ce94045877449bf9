"""Motions that stage one generates for the training clips: what FD2Talk trains its Diffusion UNet on (§3.4.2).

    python scripts/predict_motions.py ../shared/data/clips .cache/prepared .cache/predicted_motions

For each clip with usable sound the motion of its first frame and its speech, in the clip's own head crop, by the
networks alone (no rules act on it afterwards). `data.motions` of a config of stage two names the folder.
"""

from __future__ import annotations

from pathlib import Path

import click
from tqdm import tqdm

from shared.errors import InputError
from shared.motion import Motion
from shared.prepared import clip_frames, load_track, read_index
from shared.tracking import photo_of_clip
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES

# Lips of other clips do not belong to their sound.
USABLE = ("ok", "weak")


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--weights", default="bundled", help="Of stage one: bundled, or a folder.")
def main(clips: Path, prepared: Path, output: Path, weights: str) -> None:
    generate = MotionPipeline.from_pretrained(weights)
    output.mkdir(parents=True, exist_ok=True)
    rows = [row for row in read_index(prepared) if row["split"] == "train" and row["audio"] in USABLE]
    for row in tqdm(rows):
        path = output / f"{row['name']}.npz"
        if path.exists():
            continue
        tracked = Motion.load(prepared / "motions" / f"{row['name']}.npz", face_model=generate.face_model.fingerprint)
        if tracked.audio is None or not tracked.audio.size:
            continue
        image = next(clip_frames(clips, row))
        track = load_track(prepared / "tracks" / f"{row['name']}.npz")
        try:
            photo = photo_of_clip(image, track, tracked, generate.face_model)
            generate(tracked.audio, photo=photo, postprocessing=NO_RULES).save(path)
        except InputError as error:
            print(f"{row['name']}: {error}")


if __name__ == "__main__":
    main()
