"""What the rules of lips do to sync: motion with all rules, and with single ones changed or left out.

    python scripts/evaluate_rules.py [--split val] [--model diface] [--seeds 2]

The face is the mean face; means over clips, of one sample or of several. Splits: `development` (training people on whom
settings are chosen), `val`, or `personal` (the half of that talker's clips on which figures are reported). Models that
take a style get that of the person's longest other clip; of people with one clip that of the first half, and the second
is measured.

* r: correlation of the lip aperture with the filmed one at the best lag within two frames. Spread and speed: over the
  filmed ones.
* Before: mean aperture in silences before the first word that are long enough for the mouth to close and too short for
  a pause, up to 0.16 s before the word; and in how many clips they are.
* Opening: 99th percentile, over the frames of all clips, of the step by which lips part from one frame to the next, in
  standard deviations of the clip's aperture.

Prints Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import click
import numpy as np
import torch
from evaluate_sampling import sentences
from held_out_clips import MODEL_HELP, HeldOut, held_out_clips, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from tqdm import tqdm

from shared.face_model.measures import lip_aperture
from shared.metrics.lips import best_lag_correlation, spread_and_speed
from shared.splits import is_development
from stage1_motion.interface import Speech
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.speech_events import SpeechEvents

Change = Callable[[SpeechEvents], SpeechEvents]


def settled_at_the_end_alone(events: SpeechEvents) -> SpeechEvents:
    """Events without a mouth that is closed in a short silence before the first word."""
    if events.settled is None:
        return events
    kept = events.settled.copy()
    kept[: kept.argmin()] = 0  # up to the first frame in which the mouth is wholly in use
    return replace(events, settled=kept)


def settled_nowhere(events: SpeechEvents) -> SpeechEvents:
    """Events in which the mouth follows the network in short silences at both ends."""
    return replace(events, settled=None)


def shut_for_a_frame(events: SpeechEvents) -> SpeechEvents:
    """Events whose b, p and m close the lips in one frame, and do nothing to those beside it."""
    return replace(events, bilabials=(events.bilabials == 1).astype(np.float32))


VARIANTS: dict[str, tuple[PostProcessing, Change | None]] = {
    "all rules": (PostProcessing(), None),
    "no short silence before the first word": (PostProcessing(), settled_at_the_end_alone),
    "no short silences at either end": (PostProcessing(), settled_nowhere),
    "b, p, m close the lips in a single frame": (PostProcessing(), shut_for_a_frame),
    "without `lip_closure`": (PostProcessing(lip_closure=False), None),
    "without `rest`": (PostProcessing(rest=False), None),
}


@dataclass
class Curves:
    """Lip apertures of a clip, [T] each.

    Args:
        filmed: as tracked.
        made: of each sample.
        silence: bool [T], the short silence before the first word in which the mouth is closed.
    """

    filmed: np.ndarray
    made: list[np.ndarray]
    silence: np.ndarray


@click.command(help=__doc__)
@click.option("--model", default="fd2talk", show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--split", type=click.Choice(["development", "val", "personal"]), default="val", show_default=True)
@click.option("--seeds", default=1, show_default=True)
@click.option("--variant", "names", multiple=True, type=click.Choice(list(VARIANTS)), default=list(VARIANTS))
def main(model, prepared, split, seeds, names) -> None:
    torch.set_num_threads(1)
    pipeline = load_model(model)
    clips = clips_of(split, prepared, pipeline)
    keep_samples(pipeline)
    people = len({clip.person for clip in clips})
    print_head([f"{len(clips)} clips, people: {people}", "r", "spread", "speed", "before", "opening"])
    for index, name in enumerate(names):
        rules, change = VARIANTS[name]
        with changed_events(pipeline, change):
            found = [curves_of(pipeline, clip, rules, seeds) for clip in tqdm(clips, leave=False)]
        if not index:
            print_row(["filmed", *cells([Curves(one.filmed, [one.filmed], one.silence) for one in found])])
        print_row([name, *cells(found)])


def clips_of(split: str, prepared, pipeline: MotionPipeline) -> list[HeldOut]:
    """The clips of a split of `main`, from their first frames on where the model takes no style."""
    if split == "development":
        found = held_out_clips(prepared, "train", pipeline.face_model, is_development)
    else:
        found = held_out_clips(prepared, split, pipeline.face_model)
    if split == "personal":
        found = [clip for clip in found if clip.name in sentences("report")]
    styled = "style" in pipeline.model.accepts
    return [clip if styled else replace(clip, first=0) for clip in found]


def keep_samples(pipeline: MotionPipeline) -> None:
    """Let the model sample each clip once for each seed: rules act on what it has sampled."""
    sample, kept = pipeline.model.sample, {}

    def once(speech: Speech, *arguments, generator: torch.Generator, **options):
        key = speech.audio.tobytes(), generator.initial_seed()
        if key not in kept:
            kept[key] = sample(speech, *arguments, generator=generator, **options)
        return kept[key]

    pipeline.model.sample = once


@contextmanager
def changed_events(pipeline: MotionPipeline, change: Change | None) -> Iterator[None]:
    """The pipeline hears the events that `change` makes of those that it detects."""
    detect = pipeline.frontend.detect
    if change is not None:
        pipeline.frontend.detect = lambda features, audio: change(detect(features, audio))
    try:
        yield
    finally:
        pipeline.frontend.detect = detect


def curves_of(pipeline: MotionPipeline, clip: HeldOut, rules: PostProcessing, seeds: int) -> Curves:
    """The lips of a clip, filmed and generated, from the frame on that it is measured."""
    model, audio = pipeline.face_model, clip.motion.audio
    made, style = [], clip.style(pipeline)
    for seed in range(seeds):
        motion = pipeline(audio, seed=seed_of(clip.name, seed), postprocessing=rules, style=style)
        made.append(lip_aperture(model.vertices(np.zeros(model.num_identity, np.float32), motion.expression)))
    filmed = lip_aperture(model.vertices(clip.motion.identity, clip.motion.expression))
    measured = slice(clip.first, min(len(filmed), len(made[0])))
    return Curves(filmed[measured], [one[measured] for one in made], short_silence(pipeline, audio)[measured])


def short_silence(pipeline: MotionPipeline, audio: np.ndarray) -> np.ndarray:
    """See `Curves.silence`."""
    frontend = pipeline.frontend
    settled = frontend.detect(frontend.encoder(audio), audio).settled
    if settled is None:
        return np.zeros(0, bool)
    silent = settled >= 0.5  # where the mouth is more than half closed
    silent[settled.argmin() :] = False
    return silent


def cells(found: list[Curves]) -> list[str]:
    """The figures of `main`, as text."""
    pairs = [(one, curve) for one in found for curve in one.made]
    with np.errstate(invalid="ignore"):
        sync = [
            (best_lag_correlation(curve, one.filmed)[0], *spread_and_speed(curve, one.filmed)) for one, curve in pairs
        ]
    r, spread, speed = np.nanmean(sync, axis=0)
    silences = [float(curve[: len(one.silence)][one.silence].mean()) for one, curve in pairs if one.silence.any()]
    steps = np.concatenate([np.diff(curve) / curve.std() for _, curve in pairs])
    before = f"{np.mean(silences):.3f} ({sum(one.silence.any() for one in found)})" if silences else ""
    return [f"{r:.3f}", f"{spread:.2f}", f"{speed:.2f}", before, f"{np.percentile(steps, 99):.2f}"]


if __name__ == "__main__":
    main()
