"""Time and memory of the motion models: the demo recordings, over and over, through the whole of stage one.

    python scripts/benchmark_motion.py [--model diffposetalk] [--minutes 60]

Each figure is of a process of its own that has loaded the models and generated a second of motion before; default
settings, with the threads that torch takes by default (set OMP_NUM_THREADS for others). Wall-clock and processor
time of `pipeline(audio)`; memory: the largest resident set of the process. The recording itself takes 3.7 MiB a minute,
and the motion, which is returned as a whole, half a MiB.
"""

from __future__ import annotations

import click
import torch
from demo import long_speech
from held_out_clips import MODEL_HELP, load_model
from markdown_tables import print_head, print_row

from fd2talk.evaluation.metrics.cost import peak_memory
from fd2talk.processes import in_processes
from shared.stages import Times, now
from stage1_motion.registry import BUNDLED


@click.command(help=__doc__)
@click.option("--model", "models", multiple=True, default=BUNDLED, show_default=True, help=MODEL_HELP)
@click.option("--minutes", "lengths", multiple=True, type=float, default=(1, 10, 60), show_default=True)
def main(models: tuple[str, ...], lengths: tuple[float, ...]) -> None:
    threads = torch.get_num_threads()
    print(f"{threads} threads")
    print_head(["model", "minutes of speech", "wall-clock time, s", "processor time, s", "peak memory, MiB"])
    for model in models:
        for minutes in lengths:
            job, start = (model, minutes), torch.set_num_threads
            (found,) = in_processes(generate, [job], 1, "measuring", "run", start=start, given=(threads,))
            assert found is not None  # else an error has been raised
            times, memory = found
            print_row([model, f"{minutes:g}", f"{times.wall:.2f}", f"{times.processor:.2f}", f"{memory:.0f}"])


def generate(model: str, minutes: float) -> tuple[Times, float]:
    """Times of generating so many minutes of motion, and the process's peak memory in MiB."""
    pipeline, speech = load_model(model), long_speech(60 * minutes)
    pipeline(speech[:16000])
    begun = now()
    pipeline(speech)
    return now() - begun, peak_memory()


if __name__ == "__main__":
    main()
