"""How heads move from frame to frame: speed and trembling, generated and filmed.

    python scripts/evaluate_heads.py --model diffposetalk [--report]

Of rotation (degrees) and translation (crop units): means of the first differences' size, and of the second
differences', which a trembling head has too many of; the network alone, without rules, two samples of every clip. On
the development people, or with `--report` on those of `val`; means over people, ± half of the 95 % interval. The style
is that of the person's longest other clip, and of people with one clip that of the first half. Prints Markdown.
"""

from __future__ import annotations

from collections import defaultdict

import click
import numpy as np
import torch
from held_out_clips import MODEL_HELP, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from remade_clips import with_interval
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from shared.motion import Motion
from shared.splits import is_development
from stage1_motion.postprocessing import NO_RULES
from stage1_motion.registry import BUNDLED


@click.command(help=__doc__)
@click.option("--model", "models", multiple=True, default=BUNDLED, show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--seeds", default=2, show_default=True)
@click.option("--report", is_flag=True, help="On people that no setting was chosen on.")
def main(models, prepared, seeds, report) -> None:
    torch.set_num_threads(1)
    print_head(["heads", "rotation: speed", "second differences", "translation: speed", "second differences"])
    for index, model in enumerate(models):
        pipeline, face = load_model(model), load_model(model).face_model
        clips = (
            held_out_clips(prepared, "val", face) if report else held_out_clips(prepared, "train", face, is_development)
        )
        real, made = defaultdict(list), defaultdict(list)
        for clip in tqdm(clips, leave=False):
            style = clip.style(pipeline)
            real[clip.person].append(movement(clip.motion))
            for seed in range(seeds):
                motion = pipeline(
                    clip.motion.audio, seed=seed_of(clip.name, seed), postprocessing=NO_RULES, style=style
                )
                made[clip.person].append(movement(motion))
        for name, found in (("filmed", real), (pipeline.name, made))[index > 0 :]:
            values = np.array([np.mean(of_person, axis=0) for of_person in found.values()])
            print_row([name, *(with_interval(column, digits) for column, digits in zip(values.T, (2, 3, 4, 4)))])


def movement(motion: Motion) -> list[float]:
    """Speed and second differences of the rotation, degrees, and of the translation, crop units; a frame."""
    turns = Rotation.from_rotvec(motion.rotation)
    steps = np.degrees((turns[1:] * turns[:-1].inv()).as_rotvec())  # [T - 1, 3]
    moves = np.diff(motion.translation, axis=0)
    return [float(np.linalg.norm(v, axis=1).mean()) for each in (steps, moves) for v in (each, np.diff(each, axis=0))]


if __name__ == "__main__":
    main()
