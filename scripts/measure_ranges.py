"""Measure what enters the convolutions of the repair network of the mouth, for `--precision int8`.

    python scripts/measure_ranges.py ../shared/data/portraits --split train --count 60 --weights assets/repair

Photos speak the bundled recordings, with their heads turned as those of filmed people. `mouth.safetensors` is written
again with the ranges in its header; its weights stay as they are. Trainings do this themselves, with the crops on which
they choose their weights (`stage2_render/training/repair`). Prints how far frames in int8 are from those in float32.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from demo import demo_speech, fit_photos, picture_files
from markdown_tables import print_head, print_row

from fd2talk.evaluation.inputs.clip_reader import take_frames
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.int8 import Ranges, observed
from stage2_render.repair.networks import RepairNetworks, save_network

FRAMES = 20  # of each photo, spread over its video


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="train", show_default=True, help="Of a folder with a manifest.")
@click.option("--count", default=60, show_default=True, help="Number of photos.")
@click.option("--weights", type=click.Path(exists=True, path_type=Path), default=bundled("repair"), show_default=True)
@click.option("--compare", is_flag=True, help="Only compare frames in int8, with the ranges that are there.")
def main(folder: Path, split: str, count: int, weights: Path, compare: bool) -> None:
    files = picture_files(folder, split)
    if not files:
        raise click.UsageError(f"{folder} has no pictures of {split}")
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    motions, audio = MotionPipeline.from_pretrained(), demo_speech()
    networks = RepairNetworks.load(weights)
    in_float = RenderPipeline(motions.face_model, networks, precision="float32")
    in_int8 = RenderPipeline(motions.face_model, networks, precision="int8") if compare else None
    ranges: Ranges = {}
    errors = []
    number = 0
    for number, (_, photo) in enumerate(fit_photos(folder, files, motions.face_model), 1):
        motion = motions(audio, photo=photo, seed=number - 1)
        motion = take_frames(motion, np.linspace(0, len(motion) - 1, FRAMES).astype(int))
        with observed(networks.mouth) as seen:
            frames = list(in_float(photo, motion, full=False, relative=False))
        for name, (low, high) in seen.items():
            least, most = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, least), max(high, most)
        if in_int8:
            others = in_int8(photo, motion, full=False, relative=False)
            errors.append([_error(*pair) for pair in zip(frames, others)])
    if in_int8:
        print_head(["int8 against float32, grey levels", "mean", "largest"])
        for place, name in enumerate(("root mean square of a frame", "largest of a frame")):
            of_all = np.array(errors)[..., place]
            print_row([name, f"{of_all.mean():.2f}", f"{of_all.max():.2f}"])
        return
    if not ranges:
        raise click.ClickException("no photo could be used, or no mouth moved: nothing was written")
    networks.mouth.ranges = ranges
    save_network(networks.mouth, "mouth", weights)
    click.echo(f"{weights}: ranges of {len(ranges)} convolutions, of {number} photos")


def _error(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    difference = one.astype(np.float32) - other
    return float(np.sqrt(np.square(difference).mean())), float(np.abs(difference).max())


if __name__ == "__main__":
    main()
