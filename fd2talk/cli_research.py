"""The commands that make data, train, measure and look after the installation."""

from __future__ import annotations

from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.datasets.names import LAYOUTS, SPLITS
from fd2talk.evaluation.system_names import SYSTEMS
from shared.errors import Fd2TalkError

_workers = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Number of processes (default: one per CPU core)."
)


@click.command()
@click.argument("clips")
@click.argument("out")
@click.option("--photos", metavar="FOLDER", help="Folder with portrait photos, to train the face model on them too.")
@click.option("--manifest", metavar="FILE", help="CSV that lists the videos (default: manifest.csv in CLIPS).")
@common.models
@_workers
@click.option(
    "--address",
    metavar="RAY",
    help="Work on the machines of a Ray cluster: local, auto or HOST:PORT of its head node.",
)
def prepare(**options: Any) -> int:
    """Track a folder of talking clips for training.

    Reads the videos in CLIPS and writes a data set to the folder OUT. Resumes where it stopped. A clip that
    cannot be used is left out; the exit code is 1 if that was for an error that nobody expected.
    """
    from fd2talk.commands.prepare import prepare

    return prepare(**options)


@click.command(
    help=f"""List the clips of published data sets for `fd2talk prepare`.

    SOURCES: DATASET=FOLDER each; DATASET is one of {", ".join(LAYOUTS)}.
    """
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@common.output("MANIFEST.csv")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="Split people as a paper does (its sizes, not its people), or as the data set publishes it.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draw of people.")
@click.option("--clips", metavar="FOLDER", help="Folder for the clips that are made of pictures or meshes.")
@_workers
@click.option("--overwrite", is_flag=True, help="Replace an existing manifest.")
def manifest(sources: tuple[str, ...], **options: Any) -> None:
    """List the clips that `fd2talk.commands.manifest` finds."""
    from fd2talk.commands.manifest import manifest

    manifest(sources, **options)


@click.command()
@click.argument("prepared", required=False)
@click.argument("out", required=False)
@common.separated(
    "--for",
    "configs",
    metavar="CONFIG,...",
    help="Also store what these trainings need: features of their speech encoders, frames, or pairs.",
)
@click.option(
    "--size", type=click.IntRange(1, 8192), default=256, show_default=True, metavar="MB", help="Size of a file."
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=90,
    show_default=True,
    metavar="N",
    help="Quality of frames and pairs as WebP, 1 to 100.",
)
@click.option("--lossless", is_flag=True, help="Store frames and pairs without loss, six times as large.")
@click.option("--tracks/--no-tracks", default=True, show_default=True, help="Keep the tracked points.")
@click.option("--check", metavar="SHARDS", help="Check every byte of these shards instead of writing any.")
@_workers
def shard(
    prepared: str | None, out: str | None, lossless: bool, quality: int, check: str | None, **options: Any
) -> None:
    """Pack a prepared data set into few large files.

    Reads the folder PREPARED of `fd2talk prepare` and writes the folder OUT, which `fd2talk train` takes in its place
    (`prepared: OUT`): thousands of hours are then read from disk as they are needed. Resumes where it stopped.
    """
    if check is not None:
        if prepared is not None:
            raise click.UsageError("--check takes the folder of shards, and nothing else")
        from fd2talk.commands.check_shards import check_shards

        return check_shards(check, workers=options["workers"])
    if prepared is None or out is None:
        raise click.UsageError(f"Missing argument '{'PREPARED' if prepared is None else 'OUT'}'.")
    try:
        from fd2talk.commands.shard import shard
    except ModuleNotFoundError as error:
        raise Fd2TalkError(f'shards need the package {error.name}: pip install "fd2talk[train]"') from error

    shard(prepared, out, quality=None if lossless else quality, **options)


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Resume from the last checkpoint.")
@click.option("--max-minutes", type=click.FloatRange(0), help="Stop after so many minutes; the next run resumes.")
def train(config: str, overrides: tuple[str, ...], **options: Any) -> None:
    """Train what the YAML file CONFIG describes.

    KEY=VALUE changes a setting of it, such as training.max_steps=10.
    """
    try:
        from fd2talk.commands.train import train_config
    except ModuleNotFoundError as error:  # of the extra: accelerate, transformers
        raise Fd2TalkError(f'training needs the package {error.name}: pip install "fd2talk[train]"') from error

    train_config(config, overrides, **options)


@click.command(
    help=f"""Measure the quality of talking heads.

    GENERATED: folders of clips, manifests of pairs (.csv) or single clips (NAME=PATH names a row of the report), or
    systems that are run here: {", ".join(SYSTEMS)}, real-shuffled.
    """
)
@click.argument("generated", nargs=-1, metavar="[GENERATED]...")
@click.option(
    "-o", "--output", required=True, metavar="REPORT", help="Folder of the report; an unfinished one is resumed."
)
@click.option("--reference", metavar="REAL", help="Folder with the real clips (videos, motion files, or both).")
@click.option("--protocol", metavar="NAME", help="A paper's metrics, settings and table: fd2talk, diffposetalk, ...")
@click.option("--metrics", help="Metrics or families, separated by commas, besides the protocol's (with neither: all).")
@click.option(
    "--repeats", type=click.IntRange(1), metavar="N", help="Samples per clip: random seeds, or subfolders 0, 1, ..."
)
@click.option("--split", metavar="NAME", help="Split of the reference's manifest.csv (default: the protocol's).")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Use only the first N reference clips.")
@click.option("--per-person", type=click.IntRange(1), metavar="N", help="Use at most N reference clips per person.")
@click.option("--min-face", type=click.IntRange(1), metavar="PX", help="Skip reference clips with a smaller face.")
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Compare images of N frames of each clip only.")
@click.option(
    "--detector",
    type=click.Choice(("mesh", "s3fd")),
    help="Whose boxes crop the input of LSE-C and LSE-D (default: mesh; s3fd is the published protocol's).",
)
@click.option("--resample", is_flag=True, help="Convert clips whose frame rate, size or length differs.")
@click.option("--phones", metavar="FILE.jsonl", help="Times of the phones (written by `scripts/align_speech.py`).")
@click.option("--unseen-expert", metavar="FILE", help="Judge lips by this lip expert, too (`fd2talk train`).")
@common.models_of("Folder with model files that are not bundled: metric checkpoints (repeatable).")
@click.option("--download", is_flag=True, help="Download missing metric checkpoints from their official addresses.")
@click.option(
    "--face-model", metavar="FILE", help="Face model of the motions: .safetensors, FLAME .pkl, BFM .mat or ICT folder."
)
@common.weights("Folder with weights for the systems that are run here.")
@_workers
@click.option("--ablation", metavar="FILE.yaml", help="Train (or load) and measure the ablation in this file instead.")
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
def evaluate(**options: Any) -> None:
    """Measure what `runner.evaluate` measures."""
    from fd2talk.evaluation.commands import evaluate

    evaluate(**options)


@click.command()
@click.option("--device", default="cpu", show_default=True, help="Device to try out: cpu, cuda, cuda:1, mps.")
@common.models
def doctor(**options: Any) -> int:
    """Check packages, models, device and speed.

    Says what to do about what does not work.
    """
    from fd2talk.commands.doctor import doctor

    return doctor(**options)


@click.command()
@common.separated(
    "--size",
    "sizes",
    kind=click.IntRange(64, 4096),
    metavar="N,...",
    help="Side of the frames in pixels (default: 256,512,900).",
)
@click.option(
    "--renderer",
    type=click.Choice(common.RENDERERS),
    default=common.DEFAULT_RENDERER,
    show_default=True,
    help="Renderer that is measured.",
)
@common.precision
@click.option("--seconds", type=common.Number(0.4, 3600), default=10.0, show_default=True, help="Length of the speech.")
@common.weights("Folder with weights of the motion model, and of the renderer if it has any.")
@click.option("--device", default="cpu", show_default=True, help="Device for the networks: cpu, cuda, cuda:1, mps.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a Markdown table.")
def benchmark(**options: Any) -> None:
    """Measure speed and memory on this computer, stage by stage.

    Generates the bundled portrait saying the bundled recordings, and says whether that is real time: 25 frames a
    second, 40 ms a frame. Nothing else should run meanwhile.
    """
    from fd2talk.commands.benchmark import benchmark

    benchmark(**options)


COMMANDS = (manifest, prepare, shard, train, evaluate, doctor, benchmark)
