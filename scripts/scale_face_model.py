"""Memory and time of the face model's training, by hours of tracked clips: the prepared ones, over and over.

    python scripts/scale_face_model.py [--hours 1 --hours 1000]

The people of the prepared folder appear again under other names, with the same tracks, which are read from its files as
often as the training asks for them; the list of clips is of full size. Each figure is of a process of its own. Peak
memory: its largest resident set. With `--everything` all frames are learned from, instead of a sample.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
from held_out_clips import prepared_option
from markdown_tables import print_head, print_row

from fd2talk.evaluation.metrics.cost import peak_memory
from fd2talk.processes import in_processes
from shared.face_model.training import task
from shared.face_model.training.sample import MOST_FRAMES, Tracks, chosen
from shared.media import FPS


@click.command(help=__doc__)
@prepared_option
@click.option("--hours", "all_hours", multiple=True, type=float, default=(1, 10, 1000, 10_000), show_default=True)
@click.option("--everything", is_flag=True, help="Without a limit: some hours at most.")
def main(prepared: Path, all_hours: tuple[float, ...], everything: bool) -> None:
    print_head(["hours", "clips", "frames learned from", "people", "processor time, s", "peak memory, MiB"])
    for hours in all_hours:
        (found,) = in_processes(measured, [(prepared, hours, everything)], 1, "training", "run")
        assert found is not None  # else an error has been raised
        clips, frames, people, seconds, memory = found
        print_row([f"{hours:g}", clips, frames, people, f"{seconds:.0f}", f"{memory:.0f}"])


def measured(prepared: Path, hours: float, everything: bool) -> tuple[int, int, int, float, float]:
    """Train once; clips, frames and people, seconds of the processor, and MiB."""
    learn, sizes = task.learn, []
    tracks = repeated(Tracks.of(prepared, "train"), hours)

    def noted(people, *arguments, **options):
        sizes.extend((sum(len(clip) for clips in people for clip in clips), len(people)))
        return learn(people, *arguments, **options)

    of = {"train": tracks, "val": Tracks.of(prepared, "val")}
    most = int(tracks.frames.sum()) if everything else MOST_FRAMES
    with (
        tempfile.TemporaryDirectory() as output,
        patch.object(Tracks, "of", lambda _, split: of[split]),
        patch.object(task, "chosen", lambda given: chosen(given, most)),
        patch.object(task, "learn", noted),
    ):
        before = time.process_time()
        task.run(task.Config(prepared=str(prepared), output=output))
        spent = time.process_time() - before
    return len(tracks.frames), sizes[0], sizes[1], spent, peak_memory()


def repeated(tracks: Tracks, hours: float) -> Tracks:
    """So many hours of clips that are repeated, each time of other people."""
    times = max(1, round(hours * 3600 * FPS / tracks.frames.sum()))
    clips, people = len(tracks.frames), int(tracks.person.max()) + 1
    person = np.tile(tracks.person, times) + people * np.repeat(np.arange(times), clips)
    return replace(
        tracks, person=person, frames=np.tile(tracks.frames, times), read=lambda clip: tracks.read(clip % clips)
    )


if __name__ == "__main__":
    main()
