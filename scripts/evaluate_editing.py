"""Edits of filmed people's clips: what is generated between kept frames, its borders, and what single parts cost.

    python scripts/evaluate_editing.py [--model fd2talk --split val --limit 12]

* kept: frames at the beginning and the end stay (half of the share at each), or single frames at random times (keys a
  second); the rest is generated from the clip's own sound (3DiFACE, Table 3). Of the generated frames: mean distance of
  the vertices of the face from the filmed ones, mean difference of the lip gap, mean angle between the heads. And of
  the borders, for face and head: how many have a velocity, and an acceleration, within the 99th percentile of the
  other frames of their clip.
* parts: one part is generated, the others stay. Mean distance in mm, over frames and the vertices that belong to a
  part, of those that stay from where they were; the gap of kept lips, which is restored, apart.

The style is that of the clip, which a user's edit has, too. Means over clips. Prints Markdown.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from held_out_clips import MODEL_HELP, HeldOut, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from scipy.spatial.transform import Rotation

from shared.media import FPS
from shared.motion import Motion
from stage1_motion.interface import Constraint
from stage1_motion.parts import FACE, PARTS, vertex_weights
from stage1_motion.pipeline import MotionPipeline

_SHARES, _KEYS = (0.0, 0.05, 0.1, 0.2, 0.5), (1, 2, 3)
_LEAST = 3 * FPS  # frames of a clip


@click.command(help=__doc__)
@click.option("--table", "tables", multiple=True, type=click.Choice(["kept", "parts"]))
@click.option("--model", default="fd2talk", show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--split", default="val", show_default=True, help="Of the filmed people.")
@click.option("--limit", type=int, metavar="N", help="Use only every k-th clip, N in all.")
def main(tables: tuple[str, ...], model: str, prepared: Path, split: str, limit: int | None) -> None:
    warnings.simplefilter("ignore")
    pipeline = load_model(model)
    clips = [clip for clip in held_out_clips(prepared, split, pipeline.face_model) if len(clip.motion) >= _LEAST]
    clips = clips[:: max(1, len(clips) // limit)][:limit] if limit else clips
    print(f"{model}, {split}, {len(clips)} clips")
    for name in tables or ("kept", "parts"):
        {"kept": kept, "parts": parts}[name](pipeline, clips)


def kept(pipeline: MotionPipeline, clips: list[HeldOut]) -> None:
    """The table of kept shares and keys."""
    columns = ("face, mm", "lip gap, mm", "head, degrees", "velocity within", "acceleration within")
    print_head(["kept", *columns], "What is generated beside kept frames")
    for label, masks in _masks(clips):
        rows = []
        for clip, mask in zip(clips, masks):
            edited = pipeline.edit(clip.motion, None, Constraint(clip.motion, mask), seed=seed_of(clip.name, 0))
            rows.append([*_differences(pipeline, clip.motion, edited, ~mask), *_within(pipeline, edited, mask)])
        print_row([label, *(f"{value:.2f}" for value in np.nanmean(rows, axis=0))])


def _masks(clips: list[HeldOut]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The conditions of Table 3, with the kept frames of every clip."""
    for share in _SHARES:
        edges = [round(share / 2 * len(clip.motion)) for clip in clips]
        frames = [np.arange(len(clip.motion)) for clip in clips]
        yield f"{share:.0%}", [(at < edge) | (at >= len(at) - edge) for at, edge in zip(frames, edges)]
    for keys in _KEYS:
        masks = []
        for clip in clips:
            count, random = len(clip.motion), np.random.default_rng(seed_of(clip.name, 1))
            mask = np.zeros(count, bool)
            mask[random.choice(count, max(1, round(keys * count / FPS)), replace=False)] = True
            masks.append(mask)
        yield f"{keys} a second", masks


def _differences(pipeline: MotionPipeline, real: Motion, edited: Motion, at: np.ndarray) -> list[float]:
    """Of the frames at `at`: face in mm, lip gap in mm, head in degrees."""
    model, space = pipeline.face_model, pipeline.model.space
    moved = np.tensordot((edited.expression - real.expression)[at], model.exp_basis, 1)
    gaps = space.lip_gap(real.identity, edited.expression[at]) - space.lip_gap(real.identity, real.expression[at])
    turn = Rotation.from_rotvec(edited.rotation[at]) * Rotation.from_rotvec(real.rotation[at]).inv()
    return [np.linalg.norm(moved, axis=-1).mean(), np.abs(gaps).mean(), np.degrees(turn.magnitude()).mean()]


def _within(pipeline: MotionPipeline, edited: Motion, mask: np.ndarray) -> list[float]:
    """Shares of the borders with a usual velocity and acceleration, of face and head."""
    face = np.tensordot(edited.expression, pipeline.face_model.exp_basis, 1).reshape(len(mask), -1)
    borders, shares = np.flatnonzero(np.diff(mask.astype(int))), []
    for order in (1, 2):
        usual = []
        for values in (face, edited.rotation, edited.translation):
            change = np.linalg.norm(np.diff(values, n=order, axis=0), axis=1)
            at = np.unique(np.concatenate([borders - k for k in range(order)])).clip(0, len(change) - 1)
            if len(at):
                usual.append(change[at] <= np.percentile(np.delete(change, at), 99))
        shares.append(float(np.mean(usual)) if usual else np.nan)
    return shares


def parts(pipeline: MotionPipeline, clips: list[HeldOut]) -> None:
    """The table of single parts."""
    owners = vertex_weights(pipeline.face_model).argmax(0)
    print_head(["generated", *(f"{part}, mm" for part in FACE), "gap of kept lips, mm"], "What kept parts cost")
    for index, part in enumerate(FACE):
        rows = []
        for clip in clips:
            motion, mask = clip.motion, np.ones((len(clip.motion), len(PARTS)), bool)
            mask[:, index] = False
            edited = pipeline.edit(motion, None, Constraint(motion, mask), seed=seed_of(clip.name, 0))
            moved = np.tensordot(edited.expression - motion.expression, pipeline.face_model.exp_basis, 1)
            distance = np.linalg.norm(moved, axis=-1).mean(0)
            gap = _differences(pipeline, motion, edited, np.ones(len(mask), bool))[1]
            rows.append([*(distance[owners == each].mean() for each in range(len(FACE))), gap])
        means = [f"{value:.3f}" for value in np.mean(rows, axis=0)]
        print_row([part, *("(generated)" if each == index else means[each] for each in range(len(FACE))), means[3]])


if __name__ == "__main__":
    main()
