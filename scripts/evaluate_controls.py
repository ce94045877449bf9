"""The measured effect of what controls a motion, a table for each; and blinks and gaze beside those of filmed people.

    python scripts/evaluate_controls.py [--table style-scale]

* style-scale: `--style-scale` of DiffPoseTalk. How far the named styles (demo recordings, all rules) are apart:
  standard deviation over styles of the lip gap's mean and standard deviation and of the head's speed. And with the
  style of a filmed person (`--split`; the longest clip, its style held out as in `evaluate_sampling.py`, its speech):
  mean distance of these figures from the person's own, and their correlation over people. Another seed for every clip;
  head speed as in `evaluate_styles.py`.
* pose-from: `--pose-from` and `--pose-scale`, driven by these clips, onto a demo portrait. Correlation of the made
  head's turn from its rest with the driver's, and standard deviations; medians over drivers.
* blink-rate: `--blink-rate`. Blinks counted in the motion for the demo recordings; one lasts while the lid gap is
  below half of its 75th percentile.
* eyes: blinks and gaze by rule, and those of filmed people (`--split`, clips of 4 s and more), counted alike: all
  blinks over all minutes, the mean of the people's rates, and the median duration. Gaze: the irises' offset from the
  middle of the eye, as the angle of an eye of 12 mm radius, away from blinks; a shift turns by 1.5 degrees or more
  within two frames. Standard deviation within a clip, median over people.

How the mouth follows the named styles is in `evaluate_styles.py`. Prints Markdown.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import numpy as np
from demo import long_speech
from evaluate_styles import movement, on_demo
from held_out_clips import HeldOut, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from scipy.signal import find_peaks
from scipy.spatial.transform import Rotation

from fd2talk.pipeline import with_pose
from shared.face_model.measures import gaze, lid_gap
from shared.face_model.morphable import MorphableModel
from shared.media import FPS, read_image
from shared.metrics.head import blinks, euler_degrees
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.retarget import resting_pose
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import PostProcessing

_STYLE_SCALES, _POSE_SCALES, _BLINK_RATES = (0.0, 1.0, 2.5, 4.0), (1.0, 0.5), (0, 5, 10, 20, 40, None)
_SECONDS = 60  # of speech for one motion
_LEAST = 4 * FPS  # frames of a clip whose eyes are counted, or that drives a head
_EYE_RADIUS, _SHIFT = 12.0, 1.5  # mm, degrees
_NEAR_BLINK, _REFRACTORY = 5, 4  # frames
_FIGURES = ("lip gap, mean (mm)", "lip gap, standard deviation (mm)", "head speed (degrees/s)")


@click.command(help=__doc__)
@click.option("--table", "tables", multiple=True, type=click.Choice(["style-scale", "pose-from", "blink-rate", "eyes"]))
@click.option("--style-model", default="diffposetalk", show_default=True, help="Or a folder of its weights.")
@prepared_option
@click.option("--split", default="val", show_default=True, help="Of the filmed people.")
@click.option("--minutes", default=5, show_default=True, help="Of speech in which eyes are counted.")
def main(tables: tuple[str, ...], style_model: str, prepared: Path, split: str, minutes: int) -> None:
    pipeline = load_model("fd2talk")

    @cache
    def clips() -> list[HeldOut]:
        return held_out_clips(prepared, split, pipeline.face_model)

    table: dict[str, Callable[[], None]] = {
        "style-scale": lambda: style_scale(load_model(style_model), clips()),
        "pose-from": lambda: pose_from(pipeline, clips()),
        "blink-rate": lambda: blink_rates(pipeline, minutes),
        "eyes": lambda: eyes(pipeline, clips(), minutes),
    }
    for name in tables or table:
        table[name]()


def style_scale(pipeline: MotionPipeline, clips: list[HeldOut]) -> None:
    """The tables of `--style-scale`."""
    styles = [pipeline.named_style(name) for name in pipeline.style_names]
    print_head(["style scale", *_FIGURES], f"Standard deviation over {len(styles)} named styles")
    for scale in _STYLE_SCALES:
        options = SamplingOptions(style_guidance=scale)
        found = [on_demo(pipeline, style, options) for style in styles]
        print_row([f"{scale:g}", *(f"{value:.2f}" for value in np.std(found, axis=0))])

    people = [clip for clip in longest(clips) if clip.source is not None]
    real = np.array([movement(pipeline, clip.motion.slice(clip.first, len(clip.motion))) for clip in people])
    title = f"With the styles of {len(people)} filmed people: distance from the person's own; correlation over people"
    print_head(["style scale", *_FIGURES], title)
    for scale in _STYLE_SCALES:
        options, made = SamplingOptions(style_guidance=scale), []
        for clip in people:
            settings = {"style": clip.style(pipeline), "postprocessing": PostProcessing(ease=False)}
            motion = pipeline(clip.motion.audio, seed=seed_of(clip.name, 0), options=options, **settings)
            made.append(movement(pipeline, motion.slice(clip.first, len(motion))))
        distances = np.abs(np.array(made) - real).mean(0)
        alike = [np.corrcoef(of_people, own)[0, 1] for of_people, own in zip(np.transpose(made), real.T)]
        print_row([f"{scale:g}", *(f"{far:.2f}; {r:.2f}" for far, r in zip(distances, alike))])


def longest(clips: list[HeldOut]) -> list[HeldOut]:
    """Of each person the clip of which most is measured."""
    people: dict[str, HeldOut] = {}
    for clip in sorted(clips, key=lambda clip: len(clip.motion) - clip.first):
        people[clip.person] = clip
    return [people[name] for name in sorted(people)]


def pose_from(pipeline: MotionPipeline, clips: list[HeldOut]) -> None:
    """The table of `--pose-from`."""
    photo = PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")), pipeline.face_model)
    drivers = [clip.motion for clip in longest(clips) if len(clip.motion) >= _LEAST]
    speech = pipeline(long_speech(max(map(len, drivers)) / FPS), photo=photo)
    columns = ("correlation", "the lowest", "standard deviation: driver (degrees)", "made")
    print_head(["pose scale", "axis", *columns], f"{len(drivers)} drivers")
    for scale in _POSE_SCALES:
        found = []
        for driver in drivers:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # limits of what can be rendered
                made = with_pose(speech.slice(0, len(driver)), driver, photo, scale=scale)
            rest, _ = resting_pose(driver.rotation, driver.translation)
            pair = turns(made.rotation, photo.rotation), turns(driver.rotation, rest)
            alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(pair[0].T, pair[1].T)]
            found.append([alike, pair[1].std(0), pair[0].std(0)])
        values = np.array(found)  # [drivers, 3, axes]
        for axis, name in enumerate(("pitch", "yaw", "roll")):
            (alike, *sizes), lowest = np.median(values[..., axis], axis=0), values[:, 0, axis].min()
            print_row([f"{scale:g}", name, f"{alike:.3f}", f"{lowest:.3f}", *(f"{size:.2f}" for size in sizes)])


def turns(rotation: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """[T, 3]: pitch, yaw and roll in degrees from a rest [3]."""
    return euler_degrees((Rotation.from_rotvec(rotation) * Rotation.from_rotvec(rest).inv()).as_rotvec())


def blink_rates(pipeline: MotionPipeline, minutes: int) -> None:
    """The table of `--blink-rate`."""
    print_head(["blink rate", "blinks a minute", "mean duration (ms)"], f"{minutes} minutes of speech")
    for rate in _BLINK_RATES:
        lids = [lid_gaps(pipeline.face_model, motion) for motion in spoken(pipeline, minutes, rate)]
        frames = np.concatenate([np.diff(blinks(gap))[:, 0] for gap in lids])
        duration = f"{frames.mean() / FPS * 1000:.0f}" if len(frames) else ""
        print_row(["default" if rate is None else rate, f"{len(frames) / minutes:.1f}", duration])


def spoken(pipeline: MotionPipeline, minutes: int, rate: float | None = None) -> list[Motion]:
    """Motions of a minute each, another seed each."""
    speech, options = long_speech(_SECONDS), SamplingOptions(blink_rate=rate)
    return [pipeline(speech, seed=seed, options=options) for seed in range(minutes * 60 // _SECONDS)]


def lid_gaps(model: MorphableModel, motion: Motion) -> np.ndarray:
    """[T], mm."""
    return lid_gap(model.vertices(motion.identity, motion.expression))


def eyes(pipeline: MotionPipeline, clips: list[HeldOut], minutes: int) -> None:
    """The table of blinks and gaze."""
    filmed: dict[str, list[Motion]] = defaultdict(list)
    for clip in clips:
        if len(clip.motion) >= _LEAST:
            filmed[clip.person].append(clip.motion)
    columns = ("minutes", "blinks a minute: all", "mean over people", "median duration (ms)")
    gaze_columns = ("gaze shifts a minute", "gaze: standard deviation across (degrees)", "up and down")
    print_head(["", *columns, *gaze_columns], "Blinks and gaze")
    by_rule = {"by rule": spoken(pipeline, minutes)}
    for name, people in ((f"{len(filmed)} filmed people", filmed), ("by rule", by_rule)):
        durations, rates, shifts, spreads, frames = [], [], [], [], 0
        for motions in people.values():
            found = [_eyes(pipeline.face_model, motion) for motion in motions]
            runs = np.concatenate([np.diff(closed)[:, 0] for closed, _, _ in found])
            count = sum(map(len, motions))
            durations.append(runs)
            rates.append(len(runs) / count * FPS * 60)
            shifts.append(sum(jumps for _, jumps, _ in found) / count * FPS * 60)
            spreads.append(np.nanmean([spread for _, _, spread in found], axis=0))
            frames += count
        every = np.concatenate(durations)
        blink = [len(every) / frames * FPS * 60, np.mean(rates), np.median(every) / FPS * 1000]
        across, up = np.median(spreads, axis=0)
        cells = [frames / FPS / 60, blink[0], blink[1], blink[2], np.mean(shifts)]
        print_row([name, *(f"{value:.1f}" for value in cells), f"{across:.2f}", f"{up:.2f}"])


def _eyes(model: MorphableModel, motion: Motion) -> tuple[np.ndarray, int, np.ndarray]:
    """Blinks [K, 2], number of gaze shifts, and the gaze's standard deviation [2] in degrees away from blinks."""
    vertices = model.vertices(motion.identity, motion.expression)
    closed = blinks(lid_gap(vertices))
    look = np.degrees(np.arcsin(np.clip(gaze(vertices) / _EYE_RADIUS, -1, 1)))  # [T, 2]
    away = np.ones(len(look), bool)
    for first, after in closed:
        away[max(0, first - _NEAR_BLINK) : after + _NEAR_BLINK] = False
    return closed, len(gaze_shifts(look, away)), look[away].std(0) if away.any() else np.full(2, np.nan)


def gaze_shifts(look: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The frames [K] at which gaze [T, 2] in degrees jumps to another place, where `away` [T] is true."""
    jump = np.zeros(len(look))
    jump[1:-1] = np.linalg.norm(look[2:] - look[:-2], axis=1)
    return find_peaks(np.where(away, jump, 0), height=_SHIFT, distance=_REFRACTORY)[0]


if __name__ == "__main__":
    main()
