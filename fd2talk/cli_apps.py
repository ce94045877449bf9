"""`fd2talk studio` and `fd2talk live`, which serve pages, and their options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.cli_signing import signing


def _serving(port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of a server: `host`, `port` and `token`; and `device`.

    Args:
        port: the default.
    """
    options = (
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at."),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=port,
            show_default=True,
            help="Its port; 0: any that is free.",
        ),
        click.option(
            "--token",
            envvar="FD2TALK_TOKEN",
            metavar="TOKEN",
            help="What visitors must know, at least 16 characters; needed at addresses that other computers can reach. "
            "The variable FD2TALK_TOKEN sets it, too, and keeps it off the list of processes.",
        ),
        click.option(
            "--device", default="cpu", show_default=True, help="Device for the networks: cpu, cuda, cuda:1, mps."
        ),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command()
@_serving(7860)
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
@signing
@common.models
def studio(**options: Any) -> None:
    """Open a page on which portraits are made to speak, and their motion is edited.

    It needs the extra: pip install 'fd2talk[studio]'. Nothing is sent elsewhere, and a visitor's files are removed when
    they leave.
    """
    from fd2talk.commands.studio import studio

    studio(**options)


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
@_serving(8780)
@common.face
def live(**options: Any) -> None:
    """Let the person in PHOTO speak in real time, on a page in the browser.

    Say it into a microphone, give it a file, or send speech from a program (docs/live.md); the portrait speaks half a
    second later, and waits and listens in between. It needs the extra: pip install 'fd2talk[live]'.
    """
    from fd2talk.commands.live import live

    live(**options)


COMMANDS = (studio, live)
