"""`fd2talk batch` and its options."""

from __future__ import annotations

from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.cli_signing import signing


@click.command()
@click.argument("manifest", metavar="MANIFEST.csv")
@click.option("-o", "--output", required=True, metavar="OUT", help="The folder of the videos and of the report.")
@click.option(
    "--workers", type=click.IntRange(1, 100_000), metavar="N", help="Processes that work at once (default: one a core)."
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads of each (default: so that all of them together use each core once).",
)
@click.option(
    "--address",
    metavar="RAY",
    help="Work on a Ray cluster: its address (auto, HOST:6379), or `local` for one on this computer. All computers of "
    "it see MANIFEST.csv, the files that it names, and OUT under the same paths.",
)
@click.option(
    "--config",
    metavar="FILE.yaml",
    help="YAML file with options of `fd2talk generate` for all rows; a cell of the table takes precedence.",
)
@common.models
@common.weights("Folder with weights of the motion model, and of the renderer if it has any.")
@click.option("--device", default="cpu", show_default=True, help="Device for the networks: cpu, cuda, cuda:1, mps.")
@signing
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace videos whose row, inputs or version have changed, or that no batch made; likewise report.csv and "
    "report.html.",
)
def batch(**options: Any) -> None:
    """Make the videos of a table of photos, recordings and options.

    MANIFEST.csv (commas, semicolons or tabs) has the columns photo and audio, optionally output (the video's name in
    OUT), and any options of `fd2talk generate` (seed, still, style, crop ...); an empty cell is the default. Paths
    count from its folder. A photo or recording may be a folder or a pattern (photos/*.jpg): each photo of the row is
    made with each recording of it.

    Models are loaded once a process. Every row is checked before the work, and one that fails stops no other:
    report.csv and report.html in OUT say what became of each. The same command continues a run that was stopped or
    killed, and leaves what is done as it is.
    """
    from fd2talk.commands.batch import batch

    batch(**options)


COMMANDS = (batch,)
