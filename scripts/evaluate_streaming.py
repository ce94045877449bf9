r"""Motion while the speech arrives against motion of whole recordings, on development people.

    python scripts/evaluate_streaming.py [--model diffposetalk]

The face is the mean face; means over people, their clips averaged. Models that take a style get that of the person's
longest other clip; of people with one clip that of the first half, and the second is measured. Prints Markdown.

* r: correlation of the lip aperture with the real one at the best lag within two frames; lag: mean of these lags;
  spread and speed over real.
* Borders: share of the frames that begin a hop and are faster than the 99th percentile of the other frames (1 % if hops
  leave no mark), of the expression and of the head's rotation; over all clips. Corners: the same of
  the rotation's second differences.
* A second table: mean size of the second differences of the head's rotation on three demo recordings, in degrees, in
  the frames that begin a hop and in the others.
* Delay: with blocks of 20 ms, the time from a frame's own time until it is returned, at worst: what it waits for, and
  the processor time of the call that returns it. Processor time: of one core, for a second of speech.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from demo import demo_speech
from held_out_clips import MODEL_HELP, HeldOut, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row

from shared.face_model.measures import lip_aperture
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.lips import best_lag_correlation, spread_and_speed
from shared.motion import Motion
from shared.splits import is_development
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES, PostProcessing
from stage1_motion.streaming.stream import HOP, joined

_BLOCK = SAMPLE_RATE // 50
_RULES = {
    "all": PostProcessing(ease=False),
    "without-rest": PostProcessing(ease=False, rest=False),
    "none": NO_RULES,
}


@click.command(help=__doc__)
@click.option("--model", default="fd2talk", show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--seeds", default=2, show_default=True)
@click.option("--steps", type=int, help="Denoising steps of the stream.")
@click.option("--pose-steps", type=int, help="Those of the head.")
@click.option("--rules", type=click.Choice(list(_RULES)), default="all", show_default=True, help="Which rules run.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the lips of the longest clip.")
def main(model, prepared, seeds, steps, pose_steps, rules, plot) -> None:
    torch.set_num_threads(1)
    pipeline = load_model(model)
    clips = held_out_clips(prepared, "train", pipeline.face_model, is_development)
    styled = "style" in pipeline.model.accepts
    print(f"{len(clips)} clips of {len({clip.person for clip in clips})} people, {seeds} seeds")
    options = SamplingOptions(steps=steps, pose_steps=pose_steps)
    print_head(["", "r", "lag", "spread", "speed", "borders: face", "head", "corners", "delay, s", "processor time, s"])
    found = {}
    for kind in ("offline", "stream"):
        spent, seconds, delay, people = 0.0, 0.0, 0.0, defaultdict(list)
        found[kind] = defaultdict(list)
        for clip in clips:
            arguments: dict[str, Any] = {"style": clip.style(pipeline), "postprocessing": _RULES[rules]}
            measured = slice(clip.first if styled else 0, None)
            for index in range(seeds):
                seed, start = seed_of(clip.name, index), time.process_time()
                if kind == "offline":
                    motion = pipeline(clip.motion.audio, seed=seed, **arguments)
                else:
                    motion, late = streamed(pipeline, clip.motion.audio, seed=seed, options=options, **arguments)
                    delay = max(delay, late)
                spent += time.process_time() - start
                seconds += len(clip.motion.audio) / SAMPLE_RATE
                found[kind][clip.name].append(motion)
                curves = (aperture(pipeline, m)[measured] for m in (motion, clip.motion))
                people[clip.person].append(figures(*curves))
        means = np.mean([np.nanmean(values, axis=0) for values in people.values()], axis=0)
        motions = [motion for of_clip in found[kind].values() for motion in of_clip]
        marks = [fast_borders([getattr(m, part) for m in motions]) for part in ("expression", "rotation")]
        marks.append(fast_borders([m.rotation for m in motions], order=2))
        late = f"{delay:.2f}" if kind == "stream" else ""
        cells = [*(f"{v:.3f}" for v in means), *(f"{v:.1%}" for v in marks), late, f"{spent / seconds:.2f}"]
        print_row([kind, *cells])
    print_corners(pipeline, seeds, options, rules)
    if plot:
        draw(pipeline, clips, found, plot)


def print_corners(pipeline: MotionPipeline, seeds: int, options: SamplingOptions, rules: str) -> None:
    """The second table of `main`."""
    arguments = {"postprocessing": _RULES[rules]}
    if "style" in pipeline.model.accepts:
        arguments["style"] = pipeline.named_style(pipeline.style_names[0])
    made: dict[str, list[np.ndarray]] = {"offline": [], "stream": []}
    for audio in map(demo_speech, ("0880", "0890", "0920")):
        for seed in range(seeds):
            made["offline"].append(pipeline(audio, seed=seed, **arguments).rotation)
            made["stream"].append(streamed(pipeline, audio, seed=seed, options=options, **arguments)[0].rotation)
    print_head(["", "corners at borders, degrees", "elsewhere"])
    for kind, rotations in made.items():
        print_row([kind, *(f"{value:.2f}" for value in corners(rotations))])


def corners(rotations: list[np.ndarray]) -> tuple[float, float]:
    """Mean size of second differences of rotations [T, 3] in degrees: in the first frames of hops, and in others."""
    sizes = [np.degrees(np.linalg.norm(np.diff(rotation, n=2, axis=0), axis=1)) for rotation in rotations]
    first = np.concatenate([np.arange(2, len(size) + 2) % HOP == 0 for size in sizes])
    every = np.concatenate(sizes)
    return float(every[first].mean()), float(every[~first].mean())


def streamed(pipeline: MotionPipeline, audio: np.ndarray, **arguments) -> tuple[Motion, float]:
    """The motion of blocks of 20 ms, and the largest delay in seconds."""
    stream, parts, frames, worst = pipeline.stream(**arguments), [], 0, 0.0
    for start in range(0, len(audio), _BLOCK):
        block, before = audio[start : start + _BLOCK], time.process_time()
        parts.append(stream.push(block))
        if parts[-1] is not None:
            now = (start + len(block)) / SAMPLE_RATE + time.process_time() - before
            worst, frames = max(worst, now - frames / FPS), frames + len(parts[-1])
    parts.append(stream.flush())
    motion = joined(parts)
    assert motion is not None
    return motion, worst


def aperture(pipeline: MotionPipeline, motion: Motion) -> np.ndarray:
    """[T]: of the motion's own person."""
    return lip_aperture(pipeline.face_model.vertices(motion.identity, motion.expression))


def figures(made: np.ndarray, real: np.ndarray) -> tuple[float, ...]:
    """Correlation, lag, spread and speed."""
    count = min(len(made), len(real))
    return *best_lag_correlation(made[:count], real[:count]), *spread_and_speed(made[:count], real[:count])


def fast_borders(curves: list[np.ndarray], order: int = 1) -> float:
    """Share of the first frames of hops whose difference of that order is above the 99th percentile of the others'."""
    speeds = [np.linalg.norm(np.diff(curve, n=order, axis=0), axis=1) for curve in curves]
    first = np.concatenate([np.arange(order, len(speed) + order) % HOP == 0 for speed in speeds])
    every = np.concatenate(speeds)
    return float((every[first] > np.quantile(every[~first], 0.99)).mean())


def draw(pipeline: MotionPipeline, clips: list[HeldOut], found: dict, path: Path) -> None:
    """The lips of the longest clip: real, offline and streamed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    longest = max(clips, key=lambda clip: len(clip.motion))
    figure, axes = plt.subplots(figsize=(12, 4), layout="constrained")
    for label, motion in (("real", longest.motion), *((k, found[k][longest.name][0]) for k in ("offline", "stream"))):
        curve = aperture(pipeline, motion)
        axes.plot(np.arange(len(curve)) / FPS, curve, label=label, lw=1)
    axes.set(xlabel="seconds", ylabel="lip aperture")
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
