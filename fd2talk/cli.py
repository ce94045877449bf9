"""The command line. Everything heavy is imported inside the commands, so that --help answers at once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import click

from fd2talk.terminal import Stopped, native_notices_away, notes, say, signals
from shared.errors import Fd2TalkError, UsageError
from stage2_render import DEFAULT_RENDERER, RENDERERS


class _FaceBox(click.ParamType):
    """LEFT,TOP,RIGHT,BOTTOM in pixels of the upright photo."""

    name = "left,top,right,bottom"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            numbers = tuple(float(n) for n in (value.split(",") if isinstance(value, str) else value))
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r} is not LEFT,TOP,RIGHT,BOTTOM in pixels", param, ctx)
        return numbers


class _Scale(click.FloatRange):
    """A factor from 0 to 10."""

    name = "factor"

    def __init__(self) -> None:
        super().__init__(0, 10)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def _read_config(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
    """Let a YAML file set the options' defaults; what is given on the command line wins."""
    if path is None:
        return
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"cannot read {path}: {reason}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a config holds lines of the form `option: value`")
    options = {p.name for p in ctx.command.params if isinstance(p, click.Option)} - {"config", "output"}
    defaults = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name == "crop" and "full" in options and isinstance(value, bool):
            name, value = "full", not value
        if name not in options:
            known = ", ".join(sorted(options)).replace("_", "-")
            raise UsageError(f"{path}: there is no option {key} (there are: {known})")
        defaults[name] = value
    ctx.default_map = defaults


def _options(*options: Callable) -> Callable:
    """Several click options as one decorator."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _output_option(metavar: str) -> Callable:
    return click.option("-o", "--output", required=True, metavar=metavar, help="The file to write.")


_sampling = _options(
    click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=0,
        show_default=True,
        help="Another number gives another performance; the same one the same.",
    ),
    click.option(
        "--steps", type=click.IntRange(1, 1000), help="Sampler steps (default: those that the weights were made for)."
    ),
    click.option("--pose-scale", type=_Scale(), default=1.0, show_default=True, help="How strongly the head moves."),
    click.option(
        "--expression-scale", type=_Scale(), default=1.0, show_default=True, help="How strongly the face moves."
    ),
    click.option("--still", is_flag=True, help="Keep the head still; the mouth talks, the eyes blink."),
)
_motion_weights = click.option(
    "--weights", metavar="FOLDER", default="bundled", show_default=True, help="Motion model weights of your own."
)
_face = _options(
    click.option(
        "--face-index", type=click.IntRange(0), metavar="N", help="Which face of the photo: 0 the largest, 1 the next."
    ),
    click.option("--face-box", type=_FaceBox(), help="Where the face is, if it is not found by itself (pixels)."),
)
_framing = _options(
    click.option(
        "--full/--crop", default=True, help="The photo's own framing (default), or the square head crop alone."
    ),
    click.option(
        "--max-size",
        type=click.IntRange(64, 4096),
        default=1280,
        show_default=True,
        help="Longer side of the video; larger photos are reduced.",
    ),
)
_renderer = _options(
    click.option(
        "--renderer",
        type=click.Choice(RENDERERS),
        help=f"Warp the photo (geometry), or let networks repair the warp (diffusion).  [default: {DEFAULT_RENDERER}]",
    ),
    click.option(
        "--render-steps",
        type=click.IntRange(1, 1000),
        help="Sampler steps of the diffusion renderer (default: those that the weights were made for).",
    ),
)
_running = _options(
    click.option("--device", default="cpu", show_default=True, help="Where networks run: cpu, cuda, cuda:1, mps."),
    click.option(
        "--config",
        metavar="FILE.yaml",
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="Defaults for these options.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace an existing output."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="fd2talk", message="%(prog)s %(version)s")
def cli() -> None:
    """One photo and one recording of speech become a talking portrait."""


@cli.command()
@click.argument("photo")
@click.argument("audio")
@_output_option("OUT.mp4")
@_sampling
@_motion_weights
@click.option("--pose-from", metavar="MOTION.npz", help="Move the head as this motion does (see `track`).")
@_renderer
@_framing
@_face
@_running
def generate(photo: str, audio: str, output: str, pose_from: str | None, device: str, **options: Any) -> None:
    """Make the person in PHOTO say AUDIO."""
    from fd2talk.commands.verbs import verbs as commands

    commands.generate(photo, audio, output, pose_from=pose_from, device=device, **options)


@cli.command()
@click.argument("audio")
@_output_option("M.npz")
@click.option("--photo", metavar="PHOTO", help="Whose face the motion is for (default: an average one).")
@_sampling
@_motion_weights
@_face
@_running
def motion(audio: str, output: str, **options: Any) -> None:
    """Turn speech into the motion of a face."""
    from fd2talk.commands.verbs import verbs as commands

    commands.motion(audio, output, **options)


@cli.command()
@click.argument("photo")
@click.argument("motion", metavar="M.npz")
@_output_option("OUT.mp4")
@_renderer
@click.option("--no-geometry-guidance", is_flag=True, help="Diffusion without the warp, from pure noise.")
@click.option("--no-detail-transfer", is_flag=True, help="Diffusion's picture for the whole face, none of the photo's.")
@click.option("--no-shared-noise", is_flag=True, help="Diffusion from another noise in every frame.")
@click.option("--compare", is_flag=True, help="Both renderers side by side in one video.")
@click.option("--real", metavar="CLIP", help="With --compare: also the clip that the motion was tracked from.")
@click.option(
    "--weights",
    metavar="FOLDER",
    default="bundled",
    show_default=True,
    help="Renderer weights of your own, in FOLDER/renderer.",
)
@_framing
@_face
@_running
def render(photo: str, motion: str, output: str, **options: Any) -> None:
    """Paint a motion (generated, tracked or edited) onto the person in PHOTO, with the motion's own sound."""
    from fd2talk.commands.verbs import verbs as commands

    commands.render(photo, motion, output, **options)


@cli.command()
@click.argument("source", metavar="VIDEO_OR_PHOTO")
@_output_option("M.npz")
@_face
@_running
def track(source: str, output: str, **options: Any) -> None:
    """Read the motion of a face from a video (or its one pose from a photo)."""
    from fd2talk.commands.verbs import verbs as commands

    commands.track(source, output, **options)


@cli.command()
@click.argument("motion", metavar="M.npz")
@_output_option("mesh.glb|curves.csv|mesh.obj|mesh.ply")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
def export(motion: str, output: str, overwrite: bool) -> None:
    """Write a motion as a mesh with morph targets (.glb) or as ARKit blendshape curves (.csv)."""
    from fd2talk.commands.verbs import verbs as commands

    commands.export(motion, output, overwrite=overwrite)


@cli.command()
@click.argument("clips")
@click.argument("out")
@click.option("--photos", metavar="FOLDER", help="Also a folder of still portraits, for the face model.")
@click.option("--workers", type=click.IntRange(1), help="Processes (default: one per CPU core).")
def prepare(clips: str, out: str, photos: str | None, workers: int | None) -> None:
    """Track a folder of talking CLIPS, to learn from, into the folder OUT. Goes on where it was stopped."""
    from fd2talk.commands.prepare import prepare

    prepare(clips, out, photos=photos, workers=workers)


@cli.command()
@click.argument("config")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Continue from the last checkpoint.")
@click.option("--max-minutes", type=click.FloatRange(0), help="Stop after so long; the next run goes on.")
def train(config: str, resume: bool, max_minutes: float | None) -> None:
    """Train what the YAML file CONFIG describes."""
    from fd2talk.commands.train import train_config

    train_config(config, resume=resume, max_minutes=max_minutes)


@cli.command()
@click.argument("generated", nargs=-1, metavar="[GENERATED]...")
@click.option(
    "-o", "--output", required=True, metavar="REPORT", help="The folder to write; one that was begun goes on."
)
@click.option("--reference", metavar="REAL", help="Folder of the real clips (videos, motions, or both).")
@click.option("--protocol", metavar="NAME", help="A paper's metrics, settings and table: fd2talk, diffposetalk, ...")
@click.option("--metrics", help="Metrics or families, with commas, beside the protocol's (without either: all).")
@click.option("--repeats", type=click.IntRange(1), help="Samples of each clip: seeds, or subfolders 0, 1, ...")
@click.option("--split", metavar="NAME", help="Of the reference's manifest.csv (default: the protocol's).")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N reference clips only.")
@click.option("--per-person", type=click.IntRange(1), metavar="N", help="At most N reference clips of a person.")
@click.option("--resample", is_flag=True, help="Bring pairs of other rates, sizes and lengths together.")
@click.option("--phones", metavar="FILE.jsonl", help="When which phone is spoken (`scripts/align_speech.py`).")
@click.option("--models", multiple=True, metavar="FOLDER", help="Where networks that judge lie; may be repeated.")
@click.option("--download", is_flag=True, help="Fetch networks that judge from their official addresses.")
@click.option("--face-model", metavar="FILE", help="The face model of the motions (default: the bundled one).")
@click.option("--weights", metavar="FOLDER", default="bundled", show_default=True, help="Of the systems run here.")
@click.option("--workers", type=click.IntRange(1), help="Processes (default: one per CPU core).")
@click.option("--ablation", metavar="FILE.yaml", help="Train (or load) and measure a paper's ablation instead.")
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
def evaluate(generated: tuple[str, ...], output: str, **options: Any) -> None:
    """Score talking heads: folders of clips, manifests of pairs, or systems run here.

    \b
    GENERATED: folders, manifests (.csv) or single clips (NAME=PATH gives a row
    another name), or bundled, warp, static, shuffled-audio, ridge,
    ground-truth, real-shuffled.
    """
    from fd2talk.evaluation import commands

    commands.evaluate(generated, output, **options)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (failed), 2 (wrong input), 130 or 143 (stopped).

    A bug, and only a bug, shows its traceback.
    """
    with native_notices_away(), notes():
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
            command = getattr(getattr(error, "ctx", None), "command_path", "fd2talk")
            return say(f"{error.format_message().rstrip('.')} (see `{command} --help`)", error.exit_code)
        except Stopped as stopped:
            return say(stopped.sentence, stopped.exit_code)
        except MemoryError:
            return say("not enough memory; a smaller --max-size or a shorter recording may do", 1)


if __name__ == "__main__":
    sys.exit(main())
