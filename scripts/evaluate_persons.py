r"""3DiFACE fine-tuned on 5, 30, 60 and 100 seconds of one person, against the base: Table 2 (b) of the paper.

    python scripts/evaluate_persons.py runs/persons
    python scripts/evaluate_persons.py runs/persons --seconds 60 --seconds 100 --steps 1200 --everything

Learned from the clips of `personal` that are marked `choose` in configs/splits/personal.csv, measured on those marked
`report`: of a person whom the base has not seen. The clips of a smaller size are among those of a larger one. Each size
has its folder FOLDER/SECONDSs_SEED, where a training that was stopped goes on, and a finished one is used again.

Figures as in `evaluate_diface.py`. Where there are several trainings of a size, they are means over these, too.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from evaluate_sampling import sentences
from held_out_clips import MODEL_HELP, HeldOut, held_out_clips, load_model, prepared_option
from remade_clips import KeptFeatures, Setting, Table, measured

from shared.media import FPS
from shared.motion import Motion
from stage1_motion.models.diface.model import Diface, load
from stage1_motion.models.diface.personalisation import Settings, personalise

_SECONDS = (5.0, 30.0, 60.0, 100.0)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--model", default="diface", show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--seconds", "sizes", multiple=True, type=float, default=_SECONDS, show_default=True)
@click.option("--steps", default=Settings.steps, show_default=True, help="Of the optimiser.")
@click.option("--everything", is_flag=True, help="Learn from all of the time, to the end: none of it chooses weights.")
@click.option("--trainings", default=1, show_default=True, help="Of each size, with other clips.")
@click.option("--seeds", default=3, show_default=True, help="Samples of each clip.")
def main(folder, model, prepared, sizes, steps, everything, trainings, seeds) -> None:
    torch.set_num_threads(1)
    pipeline = load_model(model)
    base = pipeline.model
    if not isinstance(base, Diface):
        raise click.UsageError(f"the motion model {pipeline.name} is not fine-tuned on persons")
    KeptFeatures(pipeline)
    clips = held_out_clips(prepared, "personal", pipeline.face_model)
    halves = [sentences(half) for half in ("choose", "report")]
    learned, reported = ([clip for clip in clips if clip.name in half] for half in halves)
    print(f"{len(reported)} clips, {seeds} samples each; {trainings} trainings of {steps} steps")
    table = Table("Fine-tuned on one person", "seconds")
    table.row("base", measured(pipeline, reported, Setting("base"), seeds))
    for seconds in sizes:
        found = []
        for seed in range(trainings):
            motions = first_seconds(learned, seconds, seed)
            output = folder / f"{seconds:g}s_{seed}"
            settings = Settings(steps=steps, seed=seed, held_out=not everything)
            personalise(base, pipeline.frontend, motions, output, settings=settings)
            pipeline.model = load(output, pipeline.face_model, person=output / "best")
            found.append(measured(pipeline, reported, Setting(f"{seconds:g} s"), seeds))
        table.row(f"{seconds:g}", np.mean(found, axis=0))


def first_seconds(clips: list[HeldOut], seconds: float, seed: int) -> list[Motion]:
    """So many seconds of clips in an order of this seed; the last one is cut."""
    motions, left = [], round(seconds * FPS)
    for at in np.random.default_rng(seed).permutation(len(clips)):
        if left > 0:
            motions.append(clips[at].motion.slice(0, left))
            left -= len(motions[-1])
    if left > 0:
        raise click.UsageError(f"the clips to learn from last {seconds - left / FPS:.0f} s, not {seconds:g}")
    return motions


if __name__ == "__main__":
    main()
