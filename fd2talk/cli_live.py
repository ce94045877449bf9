"""`fd2talk live` and its options."""

from __future__ import annotations

from typing import Any

import click

from fd2talk import cli_options as common


@click.command()
@click.argument("photo")
@common.motion_model
@click.option("--seed", type=click.IntRange(0, 2**40), default=0, show_default=True, help="Random seed of the motion.")
@click.option(
    "--size",
    type=click.IntRange(64, 1280),
    default=512,
    show_default=True,
    help="Longest side of the picture in pixels; it becomes smaller by itself where the machine is too slow.",
)
@click.option("--full/--crop", default=False, help="The whole photo, or the square head crop (default).")
@click.option(
    "--renderer",
    type=click.Choice(("geometry", "repair")),
    default=common.DEFAULT_RENDERER,
    show_default=True,
    help="As of `fd2talk generate`; diffusion is too slow.",
)
@common.precision
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need --token.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8780,
    show_default=True,
    help="Port to listen on; 0: any that is free.",
)
@click.option("--token", metavar="TEXT", help="What visitors must know, 16 characters or more: part of the address.")
@common.face
@click.option("--device", default="cpu", show_default=True, help="Device for the networks: cpu, cuda, cuda:1, mps.")
def live(**options: Any) -> None:
    """Let the person in PHOTO speak in real time, on a page in the browser.

    Say it into a microphone, give it a file, or send speech from a program (docs/live.md); the portrait speaks half a
    second later, and waits and listens in between. Needs: pip install 'fd2talk[live]'.
    """
    from fd2talk.commands.live import live

    live(**options)
