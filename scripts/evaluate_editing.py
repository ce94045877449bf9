<<<<<<< HEAD
r"""3DiFACE's trends: variety against accuracy, in-betweening, and noise in the sound, as in its Tables 2 and 3.

    python scripts/evaluate_editing.py --plot guidance.png
    python scripts/evaluate_editing.py --part in-betweening --report

* guidance: the scale s from 1 to .3. `--plot` draws Div^E and Lip-Sync over s, as the paper's figure 3.
* in-betweening: 5 to 50 % of the frames kept, half of them at the start, half at the end; 1 to 3 single frames a second
  kept at random. Kept frames count as the paper's do, with an error of 0; a column has those that were generated.
* noise: white noise in the sound, so many decibels below the speech's root mean square, and below full scale: the paper
  speaks of a negative gain, which may be either.

Clips are generated anew with `MotionPipeline.edit`, without the rules of the product; the clip's mean face and pose are
known, as the paper's template is. On the clips of the development people, or with `--report` on those of `val`. Prints
Markdown: millimetres, means over clips and the seeds of each, ± half of the 95 % interval over clips; changes are
paired over clips.
=======
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
>>>>>>> w/dif
"""

from __future__ import annotations

<<<<<<< HEAD
from collections.abc import Callable
from dataclasses import replace
=======
import warnings
from collections.abc import Iterator
>>>>>>> w/dif
from pathlib import Path

import click
import numpy as np
<<<<<<< HEAD
import torch
from held_out_clips import MODEL_HELP, HeldOut, load_model, prepared_option, seed_of
from remade_clips import FIGURES, KeptFeatures, Setting, Table, measured, own_sound, people_clips

from fd2talk.evaluation.report.statistics import interval
from shared.media import FPS
from stage1_motion.interface import SamplingOptions

_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_SHARES, _KEYS = (0.05, 0.1, 0.2, 0.5), (1, 2, 3)
_DECIBELS = (-36, -24, -12)
_PARTS = ("guidance", "in-betweening", "noise")


@click.command(help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS), default=_PARTS, show_default=True)
@click.option("--model", default="diface", show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--guidance", "scales", multiple=True, type=float, default=_SCALES, show_default=True)
@click.option("--steps", type=int, help="Of the sampler (default: those of the model in edits).")
@click.option("--eta", type=float, help="Of DDIM.")
@click.option("--solver", help="Such as renoise, eq. 2, in all steps of training unless there are --steps.")
@click.option("--seeds", default=5, show_default=True, help="Samples of each clip.")
@click.option("--report", is_flag=True, help="On people that no setting was chosen on.")
@click.option("--plot", type=click.Path(path_type=Path), help="Of the guidance.")
def main(parts, model, prepared, scales, steps, eta, solver, seeds, report, plot) -> None:
    torch.set_num_threads(1)
    pipeline = load_model(model)
    KeptFeatures(pipeline)
    clips = people_clips(prepared, report, pipeline.face_model)
    own = SamplingOptions(steps=steps, eta=eta, solver=solver)
    print(f"{len(clips)} clips of {len({clip.person for clip in clips})} people, {seeds} samples each")

    def tabulate(title: str, first: str, settings: list[Setting], apart: bool = False) -> list[np.ndarray]:
        """Print a table; [C, 6] of each row."""
        table, found = Table(title, first, apart), []
        for setting in settings:
            found.append(measured(pipeline, clips, setting, seeds))
            table.row(setting.name, found[-1])
        return found

    if "guidance" in parts:
        found = tabulate("Guidance", "s", [Setting(f"{s:g}", replace(own, guidance=s)) for s in scales])
        if plot:
            draw(list(scales), found, plot)
    plain = Setting("nothing", own)
    if "in-betweening" in parts:
        ends = [Setting(f"{share:.0%}", own, kept=kept_ends(share)) for share in _SHARES]
        tabulate("Both ends kept", "frames kept", [plain, *ends], apart=True)
        keys = [Setting(f"{rate} a second", own, kept=random_keys(rate)) for rate in _KEYS]
        tabulate("Single frames kept", "keys", [plain, *keys], apart=True)
    if "noise" in parts:
        for full, of in enumerate(("the speech", "full scale")):
            noisy = [Setting(f"{level} dB", own, sound=with_noise(level, bool(full))) for level in _DECIBELS]
            tabulate(f"White noise in the sound, in decibels of {of}", "noise", [plain, *noisy])


def kept_ends(share: float) -> Callable[[HeldOut], np.ndarray]:
    """This share of the frames, half at the start, half at the end."""

    def kept(clip: HeldOut) -> np.ndarray:
        frames = len(clip.motion)
        each = min(max(1, round(share * frames / 2)), (frames - 1) // 2)
        at = np.arange(frames)
        return (at < each) | (at >= frames - each)

    return kept


def random_keys(rate: float) -> Callable[[HeldOut], np.ndarray]:
    """So many frames a second; those of a lower rate are among those of a higher one."""

    def kept(clip: HeldOut) -> np.ndarray:
        frames = len(clip.motion)
        order = np.random.default_rng(seed_of(clip.name, 0)).permutation(frames)
        return np.isin(np.arange(frames), order[: min(max(1, round(rate * frames / FPS)), frames - 1)])

    return kept


def with_noise(decibels: float, full_scale: bool) -> Callable[[HeldOut], np.ndarray]:
    """White noise whose root mean square is so many decibels of the sound's, or of 1."""

    def sound(clip: HeldOut) -> np.ndarray:
        clean = own_sound(clip.motion)
        level = 1.0 if full_scale else np.sqrt(np.mean(clean.astype(float) ** 2))
        noise = np.random.default_rng(seed_of(clip.name, 0)).normal(0, level * 10 ** (decibels / 20), len(clean))
        return (clean + noise).astype(np.float32)

    return sound


def draw(scales: list[float], found: list[np.ndarray], path: Path) -> None:
    """Div^E and Lip-Sync over the guidance scale, with their intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for axes, name, colour in ((axis, "Div^E", "tab:blue"), (axis.twinx(), "Lip-Sync", "tab:red")):
        ends = np.array([interval(list(values[:, FIGURES.index(name)])) for values in found], float)
        axes.errorbar(scales, ends[:, 0], (ends[:, 2] - ends[:, 1]) / 2, color=colour, marker="o", ms=4, capsize=3)
        axes.set_ylabel(f"{name}, mm", color=colour)
    axis.set_xlabel("guidance scale s")
    figure.savefig(path, dpi=110)
=======
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
>>>>>>> w/dif


if __name__ == "__main__":
    main()
