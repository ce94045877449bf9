r"""3DiFACE's trends: variety against accuracy, in-betweening, and noise in the sound, as in its Tables 2 and 3.

    python scripts/evaluate_diface.py --plot guidance.png
    python scripts/evaluate_diface.py --part in-betweening --report
    python scripts/evaluate_diface.py --part denoiser --model runs/diface/best

* guidance: the scale s from 1 to .3. `--plot` draws Div^E and Lip-Sync over s, as the paper's figure 3, whose data have
  no head: what follows from the head's rotation is taken out of Div^E there (a column of its own in all tables).
* in-betweening: 5 to 50 % of the frames kept, half of them at the start, half at the end; 1 to 3 single frames a second
  kept at random. Kept frames count as the paper's do, with an error of 0; a column has those that were generated.
* denoiser: x_0 of the real motion told from x_t, with speech (s = 1) and without (s = 0): what is wrong about the lip
  gap, over its variance, and how far the prediction follows it (its slope over the real gap; 1 is all the way). Without
  `--model diface`'s own weights for the empty condition s = 0 hardly follows, and s is no dial of variety.
* noise: white noise in the sound, so many decibels below the speech's root mean square, and below full scale: the paper
  speaks of a negative gain, which may be either.

Clips are generated anew with `MotionPipeline.edit`, without the rules of the product; the clip's mean face and pose are
known, as the paper's template is. On the clips of the development people, or with `--report` on those of `val`. Prints
Markdown: millimetres, means over clips and the seeds of each, ± half of the 95 % interval over clips; changes are
paired over clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from held_out_clips import MODEL_HELP, HeldOut, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from remade_clips import FIGURES, KeptFeatures, Setting, Table, measured, own_sound, people_clips

from fd2talk.evaluation.report.statistics import interval
from shared.diffusion.sampling import make_schedule
from shared.media import FPS
from stage1_motion.interface import SamplingOptions
from stage1_motion.motion_space import normalise_speech
from stage1_motion.pipeline import MotionPipeline

_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_SHARES, _KEYS = (0.05, 0.1, 0.2, 0.5), (1, 2, 3)
_DECIBELS = (-36, -24, -12)
_PARTS = ("guidance", "in-betweening", "noise")
_LEVELS = (437, 374, 312, 249, 124, 10)  # timesteps at which `denoiser` looks


@click.command(help=__doc__)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice([*_PARTS, "denoiser"]), default=_PARTS, show_default=True
)
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
        """Print a table; [C, 7] of each row."""
        table, found = Table(title, first, apart), []
        for setting in settings:
            found.append(measured(pipeline, clips, setting, seeds))
            table.row(setting.name, found[-1])
        return found

    if "guidance" in parts:
        found = tabulate("Guidance", "s", [Setting(f"{s:g}", replace(own, guidance=s)) for s in scales])
        if plot:
            draw(list(scales), found, plot)
    if "denoiser" in parts:
        print_head(["t", "signal", *(f"{name}, s {s}" for s in (1, 0) for name in ("error", "slope"))], "Denoiser")
        for t in _LEVELS:
            found = [told_from_noise(pipeline, clips, t, s) for s in (1, 0)]
            print_row([t, f"{signal(pipeline, t):.2f}", *(f"{value:.2f}" for pair in found for value in pair)])
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


def signal(pipeline: MotionPipeline, t: int) -> float:
    """The share of the motion's variance in x_t, bar alpha_t."""
    return float(make_schedule(pipeline.model.network.config.train_timesteps).alphas_cumprod[t])


@torch.no_grad()
def told_from_noise(pipeline: MotionPipeline, clips: list[HeldOut], t: int, scale: float) -> tuple[float, float]:
    """Error of the lip gap over its variance, and slope over the real gap, of x_0 predicted from x_t and speech."""
    model, made, real = pipeline.model, [], []
    schedule = make_schedule(model.network.config.train_timesteps)
    row = model.coordinates.gap()[:, 0]
    for clip in clips:
        heard = pipeline.frontend(own_sound(clip.motion))
        speech = normalise_speech(heard.features, heard.events.speaks)
        motion = model.space.encode_unscaled(clip.motion)[: len(speech)]
        x0 = torch.from_numpy(model.coordinates.encode(motion[:, :-6], motion[:, -6:]))[None]
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed_of(clip.name, t)))
        at = torch.tensor([t])
        heard_speech = torch.from_numpy(speech[None, : len(motion)])
        clean = model.network.guided(schedule.add_noise(x0, noise, at), at, heard_speech, model.person[None], scale)
        made.append(clean[0].numpy() @ row)
        real.append(x0[0].numpy() @ row)
    predicted, true = np.concatenate(made), np.concatenate(real)
    slope = float(np.cov(predicted, true)[0, 1] / true.var(ddof=1))
    return float(np.mean((predicted - true) ** 2) / true.var()), slope


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
    """Div^E of the face and Lip-Sync over the guidance scale, with their intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for axes, name, colour in ((axis, "Div^E, still head", "tab:blue"), (axis.twinx(), "Lip-Sync", "tab:red")):
        ends = np.array([interval(list(values[:, FIGURES.index(name)])) for values in found], float)
        axes.errorbar(scales, ends[:, 0], (ends[:, 2] - ends[:, 1]) / 2, color=colour, marker="o", ms=4, capsize=3)
        axes.set_ylabel(f"{name}, mm", color=colour)
    axis.set_xlabel("guidance scale s")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
