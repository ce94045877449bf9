"""Time and memory of the motion models: the demo recordings, over and over, through the whole of stage one.

    python scripts/benchmark_motion.py [--model diffposetalk] [--minutes 60]

Each figure is of a process of its own that has loaded the models and generated a second of motion before; default
settings, with the threads that torch takes by default (set OMP_NUM_THREADS for others). Wall-clock and processor
time of `pipeline(audio)`; memory: the largest resident set of the process, the recording (3.7 MiB a minute) and the
motion (half a MiB), which is returned as a whole, included.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
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
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.npy"
        for model in models:
            for minutes in lengths:
                np.save(sound, long_speech(60 * minutes))  # here, as making it takes more memory than it has
                job, start = (model, sound), torch.set_num_threads
                (found,) = in_processes(generate, [job], 1, "measuring", "run", start=start, given=(threads,))
                assert found is not None  # else an error has been raised
                times, memory = found
                print_row([model, f"{minutes:g}", f"{times.wall:.2f}", f"{times.processor:.2f}", f"{memory:.0f}"])


def generate(model: str, sound: Path) -> tuple[Times, float]:
    """Times of generating the motion for a recording (.npy), and the process's peak memory in MiB."""
    pipeline, speech = load_model(model), np.load(sound)
    pipeline(speech[:16000])
    begun = now()
    pipeline(speech)
    return now() - begun, peak_memory()


if __name__ == "__main__":
    main()
