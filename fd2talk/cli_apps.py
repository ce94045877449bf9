"""`fd2talk studio`, `fd2talk live` and `fd2talk serve`, which serve pages and programs, and their options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.cli_signing import signing


def _serving(port: int) -> Callable:
    """Options of a server: `host`, `port` and `token`; and `device`.

    Args:
        port: the default.
    """
    return common.several(
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


_max_upload = click.option(
    "--max-upload", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="MB", help="Largest file."
)


def _max_seconds(least: float, most: float) -> Callable:
    """The option `--max-seconds` in a range."""
    kind = common.Number(least, most)
    return click.option(
        "--max-seconds", type=kind, default=120, show_default=True, metavar="SECONDS", help="Longest recording."
    )


@click.command()
@_serving(7860)
@_max_upload
@_max_seconds(1, 3600)
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


@click.command()
@click.option(
    "--data",
    default="fd2talk-data",
    show_default=True,
    metavar="FOLDER",
    help="Folder of everything that is kept: the queue, files and videos. The same folder goes on where it stopped.",
)
@_serving(8790)
@click.option(
    "--tokens",
    envvar="FD2TALK_TOKENS",
    metavar="FILE",
    help="Instead of --token: a file with lines NAME TOKEN, a token for each client. Clients take turns in the queue, "
    "and see their own videos alone.",
)
@_max_upload
@click.option(
    "--max-pixels",
    type=common.Number(0.01, 120),
    default=50,
    show_default=True,
    metavar="MILLIONS",
    help="Largest photo.",
)
@_max_seconds(0.1, 14_400)
@click.option(
    "--max-waiting",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Videos that may wait; further requests are refused.",
)
@click.option(
    "--keep",
    type=common.Number(0.001, 100_000),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="How long finished videos, and uploads, are kept.",
)
@click.option(
    "--min-free",
    type=click.IntRange(0, 10_000_000),
    default=500,
    show_default=True,
    metavar="MB",
    help="Room on the disk below which nothing is taken.",
)
@click.option(
    "--grace",
    type=common.Number(0, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="When it is stopped: time to finish what is being made; after that it waits for the next start.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that make videos, one each at a time: more videos an hour, each of them slower, and as many copies "
    "of the models in memory.",
)
@click.option("--engine", metavar="MODULE:NAME", hidden=True, help="What makes the videos, for tests of the rest.")
@signing
@common.weights("Folder with weights of the motion model, and of the renderer if it has any.")
@common.models
def serve(**options: Any) -> None:
    """Make videos for programs, over HTTP (docs/service.md).

    Requests wait in a queue that survives a restart, and are made one after the other in a process of their own, or in
    several. It needs the extra: pip install 'fd2talk[serve]'.
    """
    from fd2talk.commands.serve import serve

    serve(**options)


COMMANDS = (studio, live, serve)
