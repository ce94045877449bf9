"""`fd2talk studio` and its options."""

from __future__ import annotations

from typing import Any

import click

from fd2talk import cli_options as common


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="Its port; 0: any that is free."
)
@click.option(
    "--token",
    envvar="FD2TALK_TOKEN",
    metavar="TOKEN",
    help="What visitors must know, at least 16 characters; needed at addresses that other computers can reach. The "
    "variable FD2TALK_TOKEN sets it, too, and keeps it off the list of processes.",
)
@click.option(
    "--max-upload", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="MB", help="Largest file."
)
@click.option(
    "--max-seconds",
    type=common.Number(1, 3600),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="Longest recording.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    metavar="N",
    help="Jobs that may wait.",
)
@common.weights("Folder with weights of the motion model, and of the renderer if it has any.")
@common.models
@click.option("--device", default="cpu", show_default=True, help="Device for the networks: cpu, cuda, cuda:1, mps.")
def studio(**options: Any) -> None:
    """Open a page on which portraits are made to speak, and their motion is edited.

    It needs the extra: pip install 'fd2talk[studio]'. Nothing is sent elsewhere, and a visitor's files are removed when
    they leave.
    """
    from fd2talk.commands.studio import studio

    studio(**options)


COMMANDS = (studio,)
