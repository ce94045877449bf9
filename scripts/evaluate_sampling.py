r"""The sampler of the Expression Transformer: sync against variety, for numbers of steps and guidance scales.

    python scripts/evaluate_sampling.py --prepared .cache/prepared --phones .cache/grid_alignment.jsonl \
        --expert runs/unseen_lip_expert/best/lip_expert.safetensors

The network alone, without rules, 20 seeds a clip: on the development people of `train` and the `choose` half of the
talker `personal` (settings are chosen here), or with `--report` on `val`, the other half and the GRID clips of `val`.
Aperture: the lip gap that the coefficients move. Prints Markdown.

* r, one: correlation with the real aperture at the best lag within two frames, of one sample; r, mean: of the mean of
  the seeds. Spread, speed, acceleration: over real; lips that tremble accelerate too much. Between seeds: correlation
  of the lips of two samples. Means over people.
* Unseen expert: P_sync of a lip expert that no loss used, mean over frames.
* Closure: share of b, p and m that close the lips. Rounding: mouth width at e and i less that at o, u and w, in
  standard deviations of the width. Both on sentences whose phones are known.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import torch
from markdown_tables import print_head, print_row
from tqdm import tqdm

from fd2talk.evaluation.inputs.phones import BILABIALS, Spoken, read_phones, seconds_of
from shared.metrics.lips import best_lag_correlation, closure_rate, rounding, sample_correlation, spread_and_speed
from shared.splits import is_development
from stage1_motion.dataset import Clip, cached_speech, load_clips
from stage1_motion.lip_expert.network import WINDOW, LipExpert
from stage1_motion.models.fd2talk.model import FD2Talk
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.windowed_sampling import generate_windows

PERSONAL = Path(__file__).parents[1] / "configs" / "splits" / "personal.csv"
_ROUND, _WIDE = {"OW", "UW", "UH", "AO", "W"}, {"IY", "IH", "EY", "EH"}
_EYES, _MOUTH_CORNERS = 90.0, (61, 291)  # mm between the outer corners of the mean face's eyes; vertices
_EXISTING = click.Path(exists=True, path_type=Path)
_COLUMNS = ("r_one", "r_mean", "spread", "speed", "acceleration", "between", "expert")


@click.command(help=__doc__)
@click.option("--prepared", type=_EXISTING, default=".cache/prepared", show_default=True, help="Prepared clips.")
@click.option("--phones", type=_EXISTING, default=".cache/grid_alignment.jsonl", help="Of scripts/align_speech.py.")
@click.option("--expert", type=_EXISTING, help="Weights of a lip expert for these speech features that no loss used.")
@click.option("--weights", default="bundled", show_default=True, help="Motion model weights.")
@click.option("--steps", "all_steps", multiple=True, type=int, default=(1, 2, 4, 8, 16, 50), show_default=True)
@click.option("--guidance", "scales", multiple=True, type=float, default=(1, 1.5, 2, 2.5), show_default=True)
@click.option("--eta", "etas", multiple=True, type=float, default=(0,), show_default=True)
@click.option("--seeds", default=20, show_default=True)
@click.option("--report", is_flag=True, help="On people that no setting was chosen on.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the frontier as a picture.")
def main(prepared, phones, expert, weights, all_steps, scales, etas, seeds, report, plot) -> None:
    pipeline = MotionPipeline.from_pretrained(weights)
    model = pipeline.model
    if not isinstance(model, FD2Talk):
        raise click.UsageError("these are not the weights of FD2Talk")
    encoded = cached_speech(pipeline.frontend.encoder, pipeline.frontend.detect, ".cache")

    def clips(split: str) -> list[Clip]:
        return load_clips(prepared, model.space, encoded, split=split)[0]

    spoken = read_phones(phones)
    half = sentences("report" if report else "choose")
    people = clips("val") if report else [clip for clip in clips("train") if is_development(clip.person)]
    known = [clip for clip in clips("personal") if clip.name in half and clip.name in spoken]
    if report:
        known += [clip for clip in people if clip.name in spoken]
    judge = LipExpert.load(expert) if expert else None
    rows = curve_rows(model)
    moments = {kind: sum(len(at(spoken[c.name], kind)) for c in known) for kind in ("closed", "round", "wide")}
    counts = ", ".join(f"{number} {kind}" for kind, number in moments.items())
    talkers = len({clip.person for clip in known})
    print(f"{len(people)} clips of {len({clip.person for clip in people})} people")
    print(f"{len(known)} sentences of {talkers} people with phones: {counts}")
    means = ["r, one", f"r, mean of {seeds}", "spread", "speed", "acceleration", "between seeds", "unseen expert"]
    print_head(["steps", "guidance", "eta", *means, "closure", "rounding"])
    real = {clip.name: clip.expression[None] for clip in [*people, *known]}
    print_row(["real", "", "", *_cells(figures(people, real, rows, judge), phone_figures(known, real, spoken, rows))])
    found = []
    for steps in all_steps:
        for scale in scales:
            for eta in etas if steps > 1 else etas[:1]:
                made = {
                    clip.name: samples(model, clip, steps, scale, eta, seeds)
                    for clip in tqdm({c.name: c for c in [*people, *known]}.values(), leave=False)
                }
                scores = figures(people, made, rows, judge)
                found.append((steps, scale, eta, scores))
                print_row([steps, scale, eta, *_cells(scores, phone_figures(known, made, spoken, rows))])
    if plot:
        draw(found, plot)


def sentences(half: str) -> set[str]:
    """The clips of `personal` that settings are chosen on ("choose"), or that figures are reported on ("report")."""
    with open(PERSONAL, newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file) if row["half"] == half}


def at(spoken: Spoken, kind: str) -> np.ndarray:
    """The seconds of the phones that close, round or widen the lips."""
    return np.array(seconds_of(spoken, {"closed": BILABIALS, "round": _ROUND, "wide": _WIDE}[kind]))


def curve_rows(model: FD2Talk) -> dict[str, np.ndarray]:
    """[D]: coefficients in the motion space -> lip gap, and mouth width, over the distance of the eye corners."""
    basis = model.space.expression_std[:, None, None] * model.space.model.exp_basis  # [D, N, 3] mm
    left, right = _MOUTH_CORNERS
    return {"gap": model.space.gap_row() / _EYES, "width": (basis[:, right, 0] - basis[:, left, 0]) / _EYES}


def samples(model: FD2Talk, clip: Clip, steps: int, scale: float, eta: float, seeds: int) -> np.ndarray:
    """[S, T, D] in the motion space, of a clip's speech."""
    speech = torch.from_numpy(clip.speech).expand(seeds, -1, -1)
    made = generate_windows(
        model.expression.network, speech, steps=steps, guidance_scale=scale, eta=eta,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return made.numpy()


def figures(
    clips: list[Clip], made: dict[str, np.ndarray], rows: dict[str, np.ndarray], judge: LipExpert | None
) -> dict[str, float]:
    """`_COLUMNS`: means over people, each person's clips averaged."""
    people: dict[str, list[list[float]]] = defaultdict(list)
    for clip in clips:
        real, curves = clip.expression @ rows["gap"], made[clip.name] @ rows["gap"]  # [T], [S, T]
        one = np.mean([best_lag_correlation(curve, real)[0] for curve in curves])
        sizes = np.mean([spread_and_speed(curve, real) for curve in curves], axis=0)
        trembling = np.abs(np.diff(curves, 2)).mean() / np.abs(np.diff(real, 2)).mean()
        between = sample_correlation(curves) if len(curves) > 1 else np.nan
        confidence = np.nan
        if judge and len(clip.speech) >= WINDOW:
            speech = torch.from_numpy(clip.speech)[None].expand(len(curves), -1, -1)
            confidence = float(judge.p_sync(torch.from_numpy(made[clip.name]), speech).mean())
        mean = best_lag_correlation(curves.mean(0), real)[0]
        people[clip.person].append([float(one), mean, *sizes, trembling, between, confidence])
    means = np.mean([np.nanmean(values, axis=0) for values in people.values()], axis=0)
    return dict(zip(_COLUMNS, map(float, means)))


def phone_figures(
    clips: list[Clip], made: dict[str, np.ndarray], spoken: dict, rows: dict[str, np.ndarray]
) -> tuple[float, float]:
    """Closure and rounding, means over sentences and seeds; each sentence counts by its number of phones."""
    closed, rounded = [], []
    for clip in clips:
        phones = spoken[clip.name]
        closures, widths = at(phones, "closed"), (at(phones, "wide"), at(phones, "round"))
        for sample in made[clip.name]:
            if len(closures):
                closed.append((closure_rate(sample @ rows["gap"], closures), len(closures)))
            if min(map(len, widths)):
                rounded.append((rounding(sample @ rows["width"], *widths), min(map(len, widths))))
    return _weighted(closed), _weighted(rounded)


def _weighted(values: list[tuple[float, int]]) -> float:
    return float(np.average([v for v, _ in values], weights=[n for _, n in values])) if values else float("nan")


def _cells(scores: dict[str, float], phones: tuple[float, float]) -> list[str]:
    digits = {"r_one": 3, "r_mean": 3, "spread": 2, "speed": 2, "acceleration": 2, "between": 3, "expert": 3}
    return [f"{scores[name]:.{count}f}" for name, count in digits.items()] + [f"{value:.2f}" for value in phones]


def draw(found: list[tuple[int, float, float, dict[str, float]]], path: Path) -> None:
    """One sample's correlation against the correlation between seeds, a line for each guidance scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for scale in sorted({scale for _, scale, _, _ in found}):
        of = [(steps, eta, s) for steps, g, eta, s in found if g == scale]
        for eta in sorted({eta for _, eta, _ in of}):
            line = [(s["between"], s["r_one"], steps) for steps, e, s in of if e == eta or steps == 1]
            label = f"guidance {scale:g}" + (f", eta {eta:g}" if eta else "")
            axes.plot([x for x, _, _ in line], [y for _, y, _ in line], "o--" if eta else "o-", ms=4, label=label)
            for x, y, steps in line:
                axes.annotate(str(steps), (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    axes.set(
        xlabel="lips of two seeds: correlation (less is more varied)", ylabel="one sample and real lips: correlation"
    )
    axes.invert_xaxis()
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
