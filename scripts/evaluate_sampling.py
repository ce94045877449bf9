r"""The samplers of the motion models: sync against variety, for numbers of steps, guidance scales, solvers.

    python scripts/evaluate_sampling.py --steps 1 --steps 6 --guidance 1.5 --guidance 2
    python scripts/evaluate_sampling.py --model diffposetalk --steps 6 --solver ddim --solver renoise --seeds 2
    python scripts/evaluate_sampling.py --model fd2talk --model diffposetalk --report --seeds 20 --plot models.png

The network alone, without rules, on one thread: on the development people of `train` and, where phones are known, the
`choose` half of the talker `personal` (settings are chosen here), or with `--report` on `val`, the other half and the
GRID clips of `val`. What is not given is as stored with the weights. The face is that of the clip's first frame. If one
of the models takes a style, it is that of the person's longest other clip; of people with one clip it is that of the
first half, and all models are measured in the second. Prints Markdown; figures are means over people.

* r, one: correlation of the lip gap with the real one at the best lag within two frames, of one sample; r, mean: of the
  mean of the seeds. Spread, speed, acceleration of the gap: over real; lips that tremble accelerate too much. Between
  seeds: correlation of the lips of two samples. LVE: mean of a frame's largest lip error.
* Head's speed and standard deviation: over real, median over people. FD2Talk's head keeps its own steps.
* Unseen expert: P_sync of a lip expert that no loss used, mean over frames.
* Closure: share of b, p and m that close the lips. Rounding: mouth width at e and i less that at o, u and w, in
  standard deviations of the width. Both on sentences whose phones are known.
* Processor time: of the motion model alone, for a second of speech.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from held_out_clips import EXISTING, MODEL_HELP, HeldOut, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from tqdm import tqdm

from fd2talk.evaluation.inputs.phones import BILABIALS, Spoken, read_phones, seconds_of
from shared.diffusion.solvers import DDIM, RENOISE
from shared.media import FPS
from shared.metrics.head import head_diversity
from shared.metrics.lips import best_lag_correlation, closure_rate, rounding, sample_correlation, spread_and_speed
from shared.metrics.mesh import lip_vertex_error
from shared.splits import is_development
from stage1_motion.interface import MotionModel, SamplingOptions
from stage1_motion.lip_expert.network import WINDOW, LipExpert
from stage1_motion.models.diface.model import Diface
from stage1_motion.models.diffposetalk.model import DiffPoseTalk
from stage1_motion.models.facepolicy.model import FacePolicy
from stage1_motion.models.fd2talk.model import FD2Talk
from stage1_motion.motion_space import TYPICAL_LIP_STD, MotionSpace, normalise_speech, shrunk_std
from stage1_motion.pipeline import MotionPipeline

PERSONAL = Path(__file__).parents[1] / "configs" / "splits" / "personal.csv"
_PHONES = Path(".cache/grid_alignment.jsonl")
_ROUND, _WIDE = {"OW", "UW", "UH", "AO", "W"}, {"IY", "IH", "EY", "EH"}
_EYES, _MOUTH_CORNERS = 90.0, (61, 291)  # mm between the outer corners of the mean face's eyes; vertices
_MEANS = {"r_one": 3, "r_mean": 3, "spread": 2, "speed": 2, "acceleration": 2, "between": 3, "lve": 2, "expert": 3}
_MEDIANS = {"head_speed": 2, "head_std": 2}


@click.command(help=__doc__)
@click.option("--model", "models", multiple=True, default=("fd2talk",), show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--phones", type=EXISTING, help=f"Of scripts/align_speech.py (default: {_PHONES}, if there).")
@click.option("--no-phones", is_flag=True, help="Leave out closure and rounding, and with them most of the sentences.")
@click.option("--expert", type=EXISTING, help="Weights of a lip expert for these speech features that no loss used.")
@click.option("--steps", "all_steps", multiple=True, type=int, help="Default of renoise: those of training.")
@click.option("--guidance", "scales", multiple=True, type=float, help="On speech (w_a).")
@click.option("--style-guidance", "style_scales", multiple=True, type=float, help="On the style (w_s).")
@click.option("--eta", "etas", multiple=True, type=float, help="Of DDIM in several steps.")
@click.option("--solver", "solvers", multiple=True, help="ddim, dpm-solver++, renoise, or a scheduler of diffusers.")
@click.option("--seeds", default=20, show_default=True)
@click.option("--report", is_flag=True, help="On people that no setting was chosen on.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the frontier as a picture.")
def main(
    models, prepared, phones, no_phones, expert, all_steps, scales, style_scales, etas, solvers, seeds, report, plot
) -> None:
    torch.set_num_threads(1)
    pipelines = [load_model(model) for model in models]
    for pipeline in pipelines:
        if not isinstance(pipeline.model, (FD2Talk, DiffPoseTalk, Diface, FacePolicy)):
            raise click.UsageError(f"the motion model {pipeline.name} has no sampler")
    face, judge = pipelines[0].face_model, LipExpert.load(expert) if expert else None
    phones = phones or (_PHONES if _PHONES.exists() else None)
    spoken = read_phones(phones) if phones and not no_phones else {}
    half = sentences("report" if report else "choose")
    people = (
        held_out_clips(prepared, "val", face) if report else held_out_clips(prepared, "train", face, is_development)
    )
    known = [] if not spoken else [c for c in held_out_clips(prepared, "personal", face) if c.name in half & {*spoken}]
    if report:
        known += [clip for clip in people if clip.name in spoken]
    if not any("style" in pipeline.model.accepts for pipeline in pipelines):
        people, known = ([replace(clip, first=0) for clip in clips] for clips in (people, known))
    clips = list({c.name: c for c in [*people, *known]}.values())
    takes = [[Take(pipeline, clip) for clip in tqdm(clips, leave=False)] for pipeline in pipelines]
    measure = Measure({take.clip.name: take for take in takes[0]}, people, known, spoken, judge)
    print(f"{len(people)} clips of {len({clip.person for clip in people})} people")
    if spoken:
        moments = {kind: sum(len(at(c, spoken, kind)) for c in known) for kind in ("closed", "round", "wide")}
        counts = ", ".join(f"{number} {kind}" for kind, number in moments.items())
        print(f"{len(known)} sentences of {len({clip.person for clip in known})} people with phones: {counts}")
    settings = ["model", "solver", "steps", "guidance", "style guidance", "eta"]
    print_head([*settings, *measure.columns(seeds)])
    real = {take.clip.name: take.real() for take in takes[0]}
    print_row(["real", *[""] * (len(settings) - 1), *measure.cells(real)])
    found = []
    for pipeline, of_model in zip(pipelines, takes):
        for options in grid(pipeline.model, all_steps, scales, style_scales, etas, solvers):
            made = {take.clip.name: take.samples(options, seeds) for take in tqdm(of_model, leave=False)}
            used = (options.solver, options.steps, options.guidance, options.style_guidance, options.eta)
            print_row([pipeline.name, *("" if value is None else value for value in used), *measure.cells(made)])
            found.append((pipeline.name, options, measure.figures(made)))
    if plot:
        draw(found, plot)


def sentences(half: str) -> set[str]:
    """The clips of `personal` that settings are chosen on ("choose"), or that figures are reported on ("report")."""
    with open(PERSONAL, newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file) if row["half"] == half}


def at(clip: HeldOut, spoken: dict[str, Spoken], kind: str) -> np.ndarray:
    """The seconds of the phones that close, round or widen the lips, from the frame on that the clip is measured."""
    seconds = seconds_of(spoken[clip.name], {"closed": BILABIALS, "round": _ROUND, "wide": _WIDE}[kind])
    return np.array([second for second in seconds if second * FPS >= clip.first]) - clip.first / FPS


def own_settings(model: MotionModel) -> tuple[SamplingOptions, int]:
    """The sampler that is stored with the weights, and the number of steps in training."""
    if isinstance(model, DiffPoseTalk):
        own = model.sampler
        scales = {"guidance": own.speech_scale, "style_guidance": own.style_scale}
        own_options = SamplingOptions(own.steps, **scales, eta=own.eta, solver=own.solver)
        return own_options, model.network.config.train_timesteps
    if isinstance(model, (Diface, FacePolicy)):
        own = SamplingOptions(**{k: v for k, v in vars(model.sampler).items() if hasattr(SamplingOptions, k)})
        return own, model.network.config.train_timesteps
    assert isinstance(model, FD2Talk)
    part = model.expression
    own = SamplingOptions(part.steps, model.pose.steps, guidance=part.guidance_scale, eta=part.eta)
    return own, part.network.config.train_timesteps


def grid(model: MotionModel, all_steps, scales, style_scales, etas, solvers) -> Iterator[SamplingOptions]:
    """All settings to measure; where none are given, those of the weights."""
    own, trained = own_settings(model)
    styles = (style_scales or (own.style_guidance,)) if "style" in model.accepts else (None,)
    for solver in solvers or (own.solver or DDIM,):
        for steps in all_steps or ((trained,) if solver == RENOISE != own.solver else (own.steps,)):
            noises = (None,) if solver != DDIM else (etas or (own.eta,)) if steps > 1 else (0.0,)
            for scale in scales or (own.guidance,):
                for style in styles:
                    for eta in noises:
                        chosen = {"guidance": scale, "style_guidance": style, "eta": eta, "solver": solver}
                        yield replace(own, steps=steps, **chosen)


@dataclass
class Samples:
    """Motion of a clip, from the frame on that it is measured.

    Args:
        expression: [S, T, D], of the person in the clip.
        rotation: [S, T, 3].
        seconds: of processor time for a second of speech and a sample.
    """

    expression: np.ndarray
    rotation: np.ndarray
    seconds: float = float("nan")


class Take:
    """A clip as a motion model gets it.

    Args:
        pipeline: with the model.
        clip: see `HeldOut`.
    """

    def __init__(self, pipeline: MotionPipeline, clip: HeldOut) -> None:
        self.model, self.clip, self.style = pipeline.model, clip, clip.style(pipeline)
        self.speech = pipeline.frontend(clip.motion.audio)
        self.tracked = self.model.space.speech_expression(clip.motion)  # [T, D]
        self.subject = clip.subject(pipeline.face_model, self.tracked[0])
        # A container may hold a frame more than its sound.
        self.measured = slice(clip.first, min(len(self.tracked), len(self.speech)))

    def real(self) -> Samples:
        """The tracked motion, as one sample."""
        return Samples(self.tracked[None, self.measured], self.clip.motion.rotation[None, self.measured])

    def samples(self, options: SamplingOptions, seeds: int) -> Samples:
        """So many samples of the model, about the face and pose of the first frame."""
        space, person, subject = self.model.space, self.model.articulation, self.subject
        expressions, rotations, spent = [], [], 0.0
        for index in range(seeds):
            random, before = torch.Generator().manual_seed(seed_of(self.clip.name, index)), time.process_time()
            made = self.model.sample(self.speech, subject, style=self.style, options=options, generator=random)
            spent += time.process_time() - before
            assert made.expression is not None and made.pose is not None  # of both models
            decoded = space.decode_expression(
                made.expression, subject.expression, subject.lip_gap, person.lip_std, person.mean_gap
            )
            turned, _ = space.decode_pose(made.pose, subject.rotation, subject.translation, person.head_std)
            expressions.append(decoded[self.measured])
            rotations.append(turned[self.measured])
        return Samples(np.stack(expressions), np.stack(rotations), spent / seeds * FPS / len(self.speech))


class Measure:
    """The figures of samples against the real motion.

    Args:
        takes: all clips by name, for the real motion.
        people: the clips of which means over people are taken.
        known: those whose phones are known.
        spoken: the phones.
        judge: the lip expert, if there is one.
    """

    def __init__(self, takes: dict[str, Take], people: list[HeldOut], known: list[HeldOut],
                 spoken: dict[str, Spoken], judge: LipExpert | None):  # fmt: skip
        self.takes, self.people, self.known, self.spoken, self.judge = takes, people, known, spoken, judge
        self.space: MotionSpace = next(iter(takes.values())).model.space
        basis = self.space.model.exp_basis  # [D, N, 3] mm
        neutral = np.zeros(self.space.model.num_identity, np.float32)
        gaps = self.space.lip_gap(neutral, np.eye(len(basis), dtype=np.float32))
        self.gap = (gaps - self.space.lip_gap(neutral, 0 * basis[:, 0, 0])) / _EYES  # [D]: expression -> lip gap
        left, right = _MOUTH_CORNERS
        self.width = (basis[:, right, 0] - basis[:, left, 0]) / _EYES
        self.lips = basis[:, self.space.model.groups["lips"]]  # [D, L, 3]

    def columns(self, seeds: int) -> list[str]:
        """Names of the cells."""
        names = ["r, one", f"r, mean of {seeds}", "spread", "speed", "acceleration", "between seeds", "LVE, mm"]
        names += ["unseen expert"] if self.judge else []
        names += ["head's speed", "its standard deviation"]
        names += ["closure", "rounding"] if self.known else []
        return [*names, "processor time, s"]

    def cells(self, made: dict[str, Samples]) -> list[str]:
        """The figures as text."""
        scores = self.figures(made)
        found = [(scores[k], n) for k, n in (_MEANS | _MEDIANS).items() if k != "expert" or self.judge]
        found += [(value, 2) for value in self.phone_figures(made)] if self.known else []
        found.append((float(np.mean([samples.seconds for samples in made.values()])), 3))
        return ["" if np.isnan(value) else f"{value:.{digits}f}" for value, digits in found]

    def figures(self, made: dict[str, Samples]) -> dict[str, float]:
        """`_MEANS` and `_MEDIANS` over people, each person's clips averaged."""
        people: dict[str, list[list[float]]] = defaultdict(list)
        for clip in self.people:
            people[clip.person].append(self._clip_figures(made[clip.name], self.takes[clip.name]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # one sample, or clips too short for the expert: no value
            values = np.stack([np.nanmean(clips, axis=0) for clips in people.values()])  # [P, K]
        found = np.append(values[:, : len(_MEANS)].mean(0), np.median(values[:, len(_MEANS) :], axis=0))
        return dict(zip(_MEANS | _MEDIANS, map(float, found)))

    def _clip_figures(self, made: Samples, take: Take) -> list[float]:
        true = take.real()
        real, curves = true.expression[0] @ self.gap, made.expression @ self.gap  # [T], [S, T]
        one = np.mean([best_lag_correlation(curve, real)[0] for curve in curves])
        mean = best_lag_correlation(curves.mean(0), real)[0]
        sizes = np.mean([spread_and_speed(curve, real) for curve in curves], axis=0)
        trembling = np.abs(np.diff(curves, 2)).mean() / np.abs(np.diff(real, 2)).mean()
        between = sample_correlation(curves) if len(curves) > 1 else np.nan
        every = np.arange(self.lips.shape[1])
        meshes, real_mesh = (np.tensordot(e, self.lips, 1) for e in (made.expression, true.expression[0]))
        lve = np.mean([lip_vertex_error(mesh, real_mesh, every) for mesh in meshes])
        heads = [
            np.mean([measure(r) for r in made.rotation]) / measure(true.rotation[0])
            for measure in (_head_speed, head_diversity)
        ]
        return [float(v) for v in (one, mean, *sizes, trembling, between, lve, self._p_sync(made, take), *heads)]

    @torch.no_grad()
    def _p_sync(self, made: Samples, take: Take) -> float:
        """Mean P_sync; the expert was trained on motion in units of the person's lip movement."""
        if self.judge is None or made.expression.shape[1] < WINDOW:
            return float("nan")
        speech = normalise_speech(take.speech.features, take.speech.events.speaks)[take.measured]
        inputs = []
        for expression in made.expression:
            gap = (expression @ self.gap) * _EYES
            scale = TYPICAL_LIP_STD / shrunk_std([gap - gap.mean()], TYPICAL_LIP_STD)
            inputs.append((expression - expression.mean(0)) * scale / self.space.expression_std)
        mouths = torch.from_numpy(np.stack(inputs).astype(np.float32))
        return float(self.judge.p_sync(mouths, torch.from_numpy(speech).expand(len(mouths), -1, -1)).mean())

    def phone_figures(self, made: dict[str, Samples]) -> tuple[float, float]:
        """Closure and rounding, means over sentences and seeds; each sentence counts by its number of phones."""
        closed, rounded = [], []
        for clip in self.known:
            closures, *widths = (at(clip, self.spoken, kind) for kind in ("closed", "wide", "round"))
            for sample in made[clip.name].expression:
                if len(closures):
                    closed.append((closure_rate(sample @ self.gap, closures), len(closures)))
                if min(map(len, widths)):
                    rounded.append((rounding(sample @ self.width, *widths), min(map(len, widths))))
        return _weighted(closed), _weighted(rounded)


def _head_speed(rotation: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(rotation, axis=0), axis=1).mean())


def _weighted(values: list[tuple[float, int]]) -> float:
    return float(np.average([v for v, _ in values], weights=[n for _, n in values])) if values else float("nan")


def draw(found: list[tuple[str, SamplingOptions, dict[str, float]]], path: Path) -> None:
    """One sample's correlation against that between seeds: a marker for each model, a line over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    lines: dict[tuple, list[tuple[float, float, int | None]]] = defaultdict(list)
    for name, options, scores in found:
        used = {"w": options.guidance, "w_s": options.style_guidance, "eta": options.eta}
        label = ", ".join([name, *(f"{key} {value:g}" for key, value in used.items() if value is not None)])
        label += f", {options.solver}" if options.solver != DDIM else ""
        lines[name, label].append((scores["between"], scores["r_one"], options.steps))
    markers = dict(zip(dict.fromkeys(name for name, _ in lines), "os^D"))
    for (name, label), points in lines.items():
        axes.plot(*zip(*[point[:2] for point in points]), f"{markers[name]}-", ms=4, label=label)
        for x, y, steps in points:
            axes.annotate(str(steps), (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    axes.set(
        xlabel="lips of two seeds: correlation (less is more varied)", ylabel="one sample and real lips: correlation"
    )
    axes.invert_xaxis()
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
