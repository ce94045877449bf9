"""`fd2talk edit` and its options."""

from __future__ import annotations

from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.cli_signing import signing
from fd2talk.options import EditOptions

_PARTS = ("face", "upper", "lips", "head", "eyes")

edits = common.group(
    "edits",
    EditOptions,
    click.option("--keep", metavar="FROM:TO,...", help="Parts that stay, in seconds, such as 0:1.2,3.5:5."),
    click.option(
        "--keyframes",
        metavar="K.csv|K.npz",
        help="Single moments that stay or are as this file says (docs/editing.md).",
    ),
    click.option(
        "--every", type=common.Number(0.04, 3600), metavar="SECONDS", help="A moment that stays every so many seconds."
    ),
    common.separated(
        "--part",
        kind=click.Choice(_PARTS),
        metavar="PART,...",
        help=f"Generate only these parts, of {', '.join(_PARTS)}; all others stay.",
    ),
    click.option(
        "--cut", multiple=True, metavar="FROM:TO,...", help="Cut this out; what follows moves along (repeatable)."
    ),
    click.option(
        "--insert", multiple=True, metavar="TIME:AUDIO,...", help="Insert this sound there, likewise (repeatable)."
    ),
    click.option("--unconditional", is_flag=True, help="Generate without listening to the speech."),
    click.option("--preview", is_flag=True, help="Also draw the motion before and after: OUT.png."),
)


@click.command()
@click.argument("source", metavar="VIDEO|MOTION.npz")
@common.output("OUT.mp4|OUT.npz")
@click.option("--audio", metavar="AUDIO", help="Speech to edit the motion to (default: its own sound).")
@edits
@common.motion_model
@common.motion
@common.renderer
@common.filmed_face
@common.weights("Folder with weights of the motion model, and of the renderer.")
@signing
@common.running
def edit(**options: Any) -> None:
    """Generate parts of the motion of a video, or of a motion file, anew; the rest stays.

    Frames of a video that stay keep their pixels and, unless they are few, their sound; the others are drawn from the
    frames that were there. The video has 25 frames per second.

    Without --keep, --keyframes, --every and --part everything is generated anew, but for --cut and --insert, which
    change only what lies about the seams. All times are seconds of the original.
    """
    from fd2talk.commands.edit import edit

    edit(**options)
