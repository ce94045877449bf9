"""How the head moves where a recording is cut off in mid-speech.

    python scripts/evaluate_endings.py ../shared/data/speech --split train

Of each speaker one recording of a few sentences that ends in the middle of a word, three samples, without rules. Of
the head's translation (crop units): the largest step of a frame and the distance covered in half a second, at the end
and in all other half seconds but the last two; and how many ends are beyond the 95th percentile of the others: .05 if
an end is like any other half second. Rotation likewise (degrees). `in silence`: the same recordings, ending in half a
second of silence after the sentence. Prints Markdown.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import click
import numpy as np
import torch
from markdown_tables import print_head, print_row
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from shared.media import SAMPLE_RATE, read_audio
from shared.motion import Motion
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES

HALF = 12  # frames


@click.command(help=__doc__)
@click.argument("speech", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--split", default="train", show_default=True)
@click.option("--speakers", default=40, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--model", default="fd2talk", show_default=True)
def main(speech: Path, split: str, speakers: int, seeds: int, model: str) -> None:
    torch.set_num_threads(1)
    pipeline = MotionPipeline.from_pretrained(model=model)
    found: dict[str, list[Motion]] = {"cut off": [], "in silence": []}
    for number, (cut, whole) in enumerate(tqdm(list(recordings(speech, split, speakers)), leave=False)):
        for name, audio in (("cut off", cut), ("in silence", whole)):
            for seed in range(seeds):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found[name].append(pipeline(audio, seed=number * seeds + seed, postprocessing=NO_RULES))
    print_head(["ending", "of", "at the end: median; 95th; most", "elsewhere: median; 95th", "ends beyond the 95th"])
    for name, motions in found.items():
        for quantity in ("step", "distance", "turn"):
            halves = [half_seconds(motion, quantity) for motion in motions]
            ends = np.array([values[-1] for values in halves])
            others = np.concatenate([values[: -2 * HALF] for values in halves])
            low, high = np.percentile(others, [50, 95])
            at_end = f"{np.median(ends):.3f}; {np.percentile(ends, 95):.3f}; {ends.max():.3f}"
            print_row([name, quantity, at_end, f"{low:.3f}; {high:.3f}", f"{(ends > high).mean():.3f}"])


def recordings(folder: Path, split: str, speakers: int):
    """Yields [n] cut off in mid-speech, and [n] of whole sentences followed by half a second of silence."""
    with open(folder / "manifest.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    random = np.random.default_rng(0)
    names = sorted({row["speaker"] for row in rows})
    for name in random.choice(names, min(speakers, len(names)), replace=False):
        mine = [row for row in rows if row["speaker"] == name]
        first = int(random.integers(0, max(1, len(mine) - 6)))
        last = mine[min(first + int(random.integers(0, 4)), len(mine) - 1)]
        start, end = float(last["start"]), float(last["end"])
        audio = read_audio(folder / mine[first]["file"])
        begin = int(float(mine[first]["start"]) * SAMPLE_RATE)
        cut = int((start + (end - start) * random.uniform(0.4, 0.65)) * SAMPLE_RATE)
        silence = np.zeros(SAMPLE_RATE // 2, np.float32)
        yield audio[begin:cut], np.concatenate([audio[begin : int(end * SAMPLE_RATE)], silence])


def half_seconds(motion: Motion, quantity: str) -> np.ndarray:
    """Of every `HALF` frames in turn: the largest step, the distance between first and last, or the largest turn."""
    if quantity == "distance":
        return np.linalg.norm(motion.translation[HALF:] - motion.translation[:-HALF], axis=1)
    if quantity == "turn":
        turns = Rotation.from_rotvec(motion.rotation)
        steps = np.degrees((turns[1:] * turns[:-1].inv()).as_rotvec())
    else:
        steps = np.diff(motion.translation, axis=0)
    return np.lib.stride_tricks.sliding_window_view(np.linalg.norm(steps, axis=1), HALF).max(1)


if __name__ == "__main__":
    main()
