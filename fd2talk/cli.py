"""The command line. Everything heavy is imported inside the commands, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from fd2talk import cli_options as common
from fd2talk import request
from fd2talk.cli_apps import COMMANDS as APPS
from fd2talk.cli_batch import batch
from fd2talk.cli_edit import edit
from fd2talk.cli_research import COMMANDS
from fd2talk.cli_signing import COMMANDS as SIGNING
from fd2talk.cli_signing import signing
from fd2talk.terminal import Stopped, command, native_output_hidden, notes, say, signals
from shared.errors import Fd2TalkError

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="fd2talk", message="%(prog)s %(version)s")
def cli() -> None:
    """Turn one photo and one recording of speech into a talking-portrait video."""


@cli.command()
@click.argument("photo")
@click.argument("audio")
@common.output("OUT.mp4")
@request.options
@common.models
@common.weights("Folder with weights of the motion model, and of the renderer if it has any.")
@signing
@common.running
def generate(
    photo: str,
    audio: str,
    output: str,
    weights: str,
    device: str,
    overwrite: bool,
    signer: Signer | None,
    **options: Any,
) -> None:
    """Generate a video of the person in PHOTO saying AUDIO."""
    from fd2talk.commands.generate import generate

    wanted = request.Request(photo, audio, **options)
    generate(wanted, output, weights=weights, device=device, overwrite=overwrite, signer=signer)


@cli.command()
@click.argument("audio", required=False)
@common.output("M.npz")
@click.option("--photo", metavar="PHOTO", help="Photo of the person (default: an average face).")
@click.option(
    "--idle",
    type=click.FloatRange(0, 3600, min_open=True),
    metavar="SECONDS",
    help="Without AUDIO: a silent face for so long, which blinks, breathes and moves its head a little.",
)
@click.option(
    "--listen",
    metavar="OTHER",
    help="Without AUDIO: a silent face that listens to this recording of somebody else, nods and smiles a little.",
)
@common.motion_model
@common.motion
@common.weights("Folder with weights of the motion model.")
@common.face
@common.running
def motion(**options: Any) -> None:
    """Generate facial motion from the speech in AUDIO."""
    from fd2talk.commands.motion import motion

    motion(**options)


@cli.command()
@click.argument("photo")
@click.argument("motion", metavar="M.npz")
@common.output("OUT.mp4")
@common.renderer_with_switches
@click.option("--compare", is_flag=True, help="Show the warped photo (geometry) beside the chosen renderer.")
@click.option("--real", metavar="CLIP", help="With --compare: also show the clip that the motion was tracked from.")
@common.weights(
    "Folder with weights of the renderer, in FOLDER/repair or FOLDER/diffusion, or `best` of a training; what it lacks "
    "is bundled."
)
@common.framing
@common.face
@signing
@common.running
def render(**options: Any) -> None:
    """Render a motion file with the face of a photo.

    The motion may be generated, tracked or edited; its own sound goes into the video. A video or photo in the place of
    M.npz is tracked. Motion of another person counts from that person's rest.
    """
    from fd2talk.commands.render import render

    render(**options)


@cli.command()
@click.argument("source", metavar="VIDEO_OR_PHOTO")
@common.output("M.npz")
@common.face
@common.config_and_overwrite
def track(**options: Any) -> None:
    """Track the motion of a face in a video.

    Parts between cuts count each from its own rest; where no face is found the motion rests. For a photo the result is
    a motion of one frame.
    """
    from fd2talk.commands.track import track

    track(**options)


@cli.command()
@click.argument("source", metavar="CLIP_OR_FOLDER")
@click.option("-o", "--output", required=True, metavar="PERSON", help="The folder to write.")
@click.option("--name", default="", help="Whose face it is, for the card.")
@click.option("--consent", default="", metavar="TEXT", help="What the person agreed to, for the card.")
@click.option("--steps", type=click.IntRange(1, 100_000), default=400, show_default=True, help="Of the fine-tuning.")
@click.option("--seed", type=click.IntRange(0, 2**40), default=0, show_default=True, help="Random seed.")
@common.weights("Folder with weights of 3DiFACE to start from.")
@common.face
@common.config_and_overwrite
def personalise(**options: Any) -> None:
    """Learn one person's way of speaking from a clip, or a folder of clips.

    The whole motion model (3DiFACE) is fine-tuned; use the result with --person. A minute and more of speech is needed.
    Files of a folder that cannot be used are left out. The same command continues one that was stopped.
    """
    from fd2talk.commands.personalise import personalise

    personalise(**options)


@cli.command()
@click.argument("source", metavar="CLIP_OR_MOTION")
@common.output("S.npz")
@click.option("--terms", metavar="TEXT", default="", help="Terms of use of the clip, kept in the file.")
@common.weights("Folder with weights of a motion model that takes styles.")
@common.face
@common.config_and_overwrite
def style(**options: Any) -> None:
    """Read the speaking style of a clip or of a motion file, for --style.

    At least a second of somebody who talks; ten and more are better. Frames without a face do not count.
    The file also says what it was made from and under which terms that may be used; the motion of a person is personal
    data.
    """
    from fd2talk.commands.style import style

    style(**options)


@cli.command()
@click.argument("photo", metavar="PHOTO_OR_VIDEO")
@click.option("--sheet", metavar="FACES.png", help="Draw the photo with its faces and their numbers.")
@common.face_tracker
@common.models
@common.overwrite
def faces(**options: Any) -> None:
    """List the faces of a photo, or of the first frame of a video that shows any.

    They are numbered in reading order: rows from the top, each from the left. --face-index of the other commands takes
    these numbers.
    """
    from fd2talk.commands.faces import faces

    faces(**options)


@cli.command()
@click.argument("motion", metavar="M.npz")
@common.output("mesh.glb|curves.csv|talk.json|motion.vrma|mesh.obj|mesh.ply")
@click.option("--photo", metavar="PHOTO", help="Texture of a .glb: the photo of the person.")
@common.export
@common.face
@common.overwrite
def export(**options: Any) -> None:
    """Export a motion file for other programs.

    Formats: an animated mesh (.glb), ARKit blendshape curves as Live Link Face writes them or visemes (.csv), both
    for TalkingHead (.json), head, mouth and eyes of a VRM avatar (.vrma), or one mesh per frame (.obj, .ply).
    """
    from fd2talk.commands.export import export

    export(**options)


@cli.command("import")
@click.argument("curves", metavar="CURVES.csv")
@common.output("M.npz")
@click.option("--audio", metavar="AUDIO", help="Sound that belongs to the curves.")
@common.fps("Frame rate of the rows (default: from the timecodes).")
@common.overwrite
def import_(**options: Any) -> None:
    """Make a motion file from blendshape curves, such as a capture made with a phone.

    CURVES.csv: a recording of Live Link Face, or any table with columns of ARKit's 52 names.
    """
    from fd2talk.commands.export import import_curves

    import_curves(**options)


for _command in (batch, *COMMANDS, edit, *SIGNING, *APPS):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; only a bug shows a traceback.

    Args:
        arguments: of the command line; None for those of this process.

    Returns:
        The exit code: 0 (success), 1 (failure), 2 (wrong input or usage), 130 or 143 (stopped by a signal).
    """
    # Before numpy is imported. The matrices of a frame are small, and threads of OpenBLAS that wait for the next one
    # keep their cores busy, which those that warp, paint and encode need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with command(), native_output_hidden(), notes():
        errors = sys.stderr
        try:
            with signals():
                code = cli.main(arguments, prog_name="fd2talk", standalone_mode=False)
            return code if isinstance(code, int) else 0
        except Fd2TalkError as error:
            return say(" ".join(str(error).split()), error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except click.ClickException as error:
            of = getattr(getattr(error, "ctx", None), "command_path", "fd2talk")
            told = " ".join(error.format_message().split()).rstrip(".")
            return say(f"{told} (see `{of} --help`)", error.exit_code)
        except Stopped as stopped:
            sys.stderr = errors  # a signal may have come just while mediapipe's output was hidden, or shown again
            return say(stopped.sentence, stopped.exit_code)
        except MemoryError:
            return say("out of memory; try a smaller --max-size or a shorter recording", 1)
        except Exception as error:
            from fd2talk.dependencies import broken_dependency

            if sentence := broken_dependency(error):
                return say(sentence, 1)
            raise


if __name__ == "__main__":
    sys.exit(main())
