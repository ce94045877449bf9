"""Stage one on people it was not trained on: lip sync, lip closure, blinks, head motion, window seams, silence.

    python scripts/evaluate_motion.py --data ../shared/data/clips --prepared .cache/prepared [--rendered]

The photo is the first frame of each clip, the speech is the clip's own. Curves are lip apertures (distance of the inner
lips over that of the outer eye corners): of the tracked clip, and of the generated motion's mesh or, with --rendered,
of the rendered video tracked again. Prints Markdown; medians are over people, each person's clips averaged.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row
from tqdm import tqdm

from fd2talk.evaluation.commands import read_phones
from fd2talk.evaluation.inputs.pairs import clip_name
from shared.face_model.measures import lid_gap, lip_aperture
from shared.faces.tracker import track_video
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.head import blink_rate
from shared.metrics.lips import best_lag_correlation, closure_rate, spread_and_speed
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_motions, read_index
from shared.tracking import smoothed_expression
from shared.weights import bundled
from stage1_motion.dataset import cached_speech, load_clips
from stage1_motion.interface import SamplingOptions
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.lip_expert.training import sync_auc
from stage1_motion.motion_space import relative_pose
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.windowed_sampling import seams
from stage2_render.pipeline import RenderPipeline


@dataclass
class Clip:
    """A clip's row of the index, tracked motion, fitted first frame, lip aperture [T], and generated motion."""

    row: dict[str, str]
    real: Motion
    photo: PhotoFit
    aperture: np.ndarray
    generated: Motion | None = None


@click.command(help=__doc__)
@click.option("--data", default="../shared/data/clips", show_default=True, help="Folder of the clips.")
@click.option("--prepared", default=".cache/prepared", show_default=True, help="Their prepared data set.")
@click.option("--weights", default="bundled", show_default=True, help="Motion model weights.")
@click.option("--split", default="val", show_default=True)
@click.option("--alignment", help="Phones of the GRID clips (JSON lines of scripts/align_speech.py).")
@click.option("--rendered", is_flag=True, help="Also render each clip and track the video again.")
@click.option("--steps", type=int, help="Denoising steps of the sampler.")
@click.option("--guidance", type=float, help="Classifier-free guidance scale of the expression.")
@click.option("--seeds", default=1, show_default=True, help="Samples of each clip.")
@click.option("--limit", type=int, metavar="N", help="Only the first N clips.")
def main(data, prepared, weights, split, alignment, rendered, steps, guidance, seeds, limit) -> None:
    pipeline = MotionPipeline.from_pretrained(weights)
    generate = partial(pipeline, options=SamplingOptions(steps=steps, guidance=guidance))
    model, index = pipeline.face_model, read_index(prepared)
    rows = [row for row in index if row["split"] == split and row["audio"] == "ok"][:limit]
    clips = []
    for row, real in tqdm(zip(rows, load_motions(prepared, rows, model).values()), desc="photos", total=len(rows)):
        photo = PhotoFit.fit(next(clip_frames(data, row)), model)
        clips.append(Clip(row, real, photo, lip_aperture(model.vertices(real.identity, real.expression))))

    own, other = defaultdict(list), defaultdict(list)
    for number, clip in enumerate(tqdm(clips, desc="own speech")):
        person, photo = clip.row["person"], clip.photo
        for seed in range(seeds):
            clip.generated = generate(clip.real.audio, photo=photo, seed=seed)
            own[person].append(_lip_scores(lip_aperture(photo.vertices(clip.generated.expression)), clip))
        others = [c for c in clips if c.row["person"] != person and not c.row["person"].startswith("grid")]
        if others and not person.startswith("grid"):
            motion = generate(others[number % len(others)].real.audio, photo=photo, seed=0)
            other[person].append(_lip_scores(lip_aperture(photo.vertices(motion.expression)), clip)[0])

    correlation, spread, speed = np.array([np.mean(v, axis=0) for v in own.values()]).T
    print()
    print_head(["metric", "value"])
    print_row(["people / clips", f"{len(correlation)} / {len(clips)}"])
    print_row(["lip aperture: correlation, median over people", f"{np.median(correlation):.3f}"])
    print_row(["with another clip's speech (no GRID)", f"{np.median([np.mean(v) for v in other.values()]):.3f}"])
    for name, ratio in (("spread", spread), ("speed", speed)):
        inside = np.mean((ratio >= 0.6) & (ratio <= 1.4))
        print_row([f"{name} over real, median; people in 0.6..1.4", f"{np.median(ratio):.2f}; {inside:.2f}"])
    _lip_expert(prepared, pipeline, weights, split)
    _eyes_and_head(clips)
    _seams_and_silence(pipeline, generate, clips)
    if alignment:
        _closure(data, prepared, index, read_phones(alignment), model, generate)
    if rendered:
        _rendered(clips)


def _lip_scores(generated: np.ndarray, clip: Clip) -> tuple[float, float, float]:
    """Correlation, spread and speed of a lip aperture [T] against the clip's."""
    return best_lag_correlation(generated, clip.aperture)[0], *spread_and_speed(generated, clip.aperture)


def _lip_expert(prepared, pipeline, weights, split) -> None:
    """The lip expert on real motion: windows with their own against windows with other speech."""
    folder = bundled("fd2talk") if weights == "bundled" else Path(weights)
    speech = cached_speech(pipeline.frontend.encoder, pipeline.frontend.detect, ".cache")
    clips, _ = load_clips(prepared, pipeline.model.space, speech, split=split)
    auc = sync_auc(LipExpert.load(folder / "lip_expert.safetensors"), clips)
    print_row(["lip expert, AUC against shifted and other speech", f"{auc['shifted']:.3f}, {auc['foreign']:.3f}"])


def _eyes_and_head(clips) -> None:
    minutes, blinks, angles = 0.0, 0.0, []
    for clip in clips:
        duration = len(clip.generated) / FPS / 60
        blinks += duration * blink_rate(lid_gap(clip.photo.vertices(clip.generated.expression)), FPS)
        minutes += duration
        if len(clip.generated) >= 3 * FPS:
            angles.append([relative_pose(m)[:, :3].std(0).mean() for m in (clip.generated, clip.real)])
    generated, real = np.degrees(np.median(angles, axis=0))
    ratios = [a / max(b, 1e-6) for a, b in angles]
    print_row(["blinks per minute", f"{blinks / minutes:.1f}"])
    print_row(["head rotation, std. deviation in a clip, generated and real", f"{generated:.2f}° and {real:.2f}°"])
    print_row(["generated over real, median over clips of 3 s or more", f"{np.median(ratios):.2f}"])
    growth = [[100 * (m.translation[10, 2] - m.translation[0, 2]) for m in (c.generated, c.real)] for c in clips]
    print_row(
        [
            "scale of the head from frame 0 to 10, generated and real",
            "{:+.2f} % and {:+.2f} %".format(*np.mean(growth, 0)),
        ]
    )


def _seams_and_silence(pipeline, generate, clips) -> None:
    """One long recording made of many clips; steps at the seams of windows against steps elsewhere."""
    photo, speech = clips[0].photo, np.concatenate([clip.real.audio for clip in clips])[: SAMPLE_RATE * 90]
    motion = generate(speech, photo=photo, seed=1)
    # The mouth's vertices: blinks are added afterwards and have no seams.
    mouth = photo.vertices(motion.expression)[:, pipeline.face_model.groups["mouth"]].reshape(len(motion), -1)
    for name, part, curve in (
        ("expression", pipeline.model.expression, mouth),
        ("pose", pipeline.model.pose, np.hstack([motion.rotation, motion.translation])),
    ):
        step = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        at = np.array(seams(part.network.config, len(motion))) - 1
        limit = np.percentile(np.delete(step, at), 99)
        label = f"{name}: largest step at {len(at)} seams over the 99th percentile elsewhere; share within it"
        print_row([label, f"{step[at].max() / limit:.2f}; {np.mean(step[at] <= limit):.2f}"])
    aperture, samples = lip_aperture(photo.vertices(motion.expression)), SAMPLE_RATE * 8
    noise = np.random.default_rng(0).normal(0, 1e-3, samples)
    for name, sound in (("digital silence", np.zeros(samples)), ("faint noise", noise)):
        quiet = lip_aperture(photo.vertices(generate(sound.astype(np.float32), photo=photo).expression))
        label = (
            f"{name}: mean and std. deviation of the aperture ({aperture.mean():.3f}, {aperture.std():.3f} speaking)"
        )
        print_row([label, f"{quiet.mean():.3f}, {quiet.std():.3f}"])
    first, again, another = (generate(clips[0].real.audio, photo=photo, seed=seed) for seed in (0, 0, 1))
    same = all(np.array_equal(getattr(first, k), getattr(again, k)) for k in ("expression", "rotation"))
    difference = np.degrees(np.abs(first.rotation - another.rotation).mean())
    print_row(["the same seed gives the same motion", same])
    print_row(["two seeds: mean difference of head angles", f"{difference:.2f}°"])


def _closure(data, prepared, index, phones, model, generate) -> None:
    """Bilabials of GRID clips of `val` and `personal`: whether the aperture falls to its lowest quarter."""
    rows = {clip_name(Path(row["file"])): row for row in index}
    rates: list[tuple[float, ...]] = []
    photos: dict[str, PhotoFit] = {}
    for name, midpoints in tqdm(phones.items(), desc="bilabials"):
        row, moments = rows.get(name), np.array(midpoints)
        if row is None or row["split"] not in ("val", "personal") or not len(moments):
            continue
        real = load_motions(prepared, [row], model)[row["name"]]
        if row["person"] not in photos:
            photos[row["person"]] = PhotoFit.fit(next(clip_frames(data, row)), model)
        photo = photos[row["person"]]
        expression = generate(real.audio, photo=photo).expression
        # Tracked motion is smoothed: a closure of a single frame disappears.
        curves = [lip_aperture(photo.vertices(e)) for e in (expression, smoothed_expression(expression))]
        curves.append(lip_aperture(model.vertices(real.identity, real.expression)))
        rates.append((*(closure_rate(curve, moments) for curve in curves), len(moments)))
    *columns, counts = np.array(rates).T
    generated, smoothed, real = (np.average(column, weights=counts) for column in columns)
    print_row([f"b, p, m of GRID ({int(counts.sum())}) that close the lips", f"{generated:.2f}"])
    print_row(["the same, smoothed as tracked clips are", f"{smoothed:.2f}"])
    print_row(["the same in the real clips", f"{real:.2f}"])


def _rendered(clips) -> None:
    renderer = RenderPipeline.from_pretrained("bundled")
    people = defaultdict(list)
    for clip in tqdm(clips, desc="rendered"):
        points = list(track_video(renderer(clip.photo, clip.generated)))
        lost = sum(p is None for p in points)
        if lost:
            print_row([f"{clip.row['file']}: the tracker found no face in {lost} frames", ""])
        aperture = np.array([np.nan if p is None else lip_aperture(p) for p in points])
        aperture = np.nan_to_num(aperture, nan=float(np.nanmean(aperture)))
        people[clip.row["person"]].append(_lip_scores(aperture, clip))
    r, spread, speed = np.median([np.mean(v, axis=0) for v in people.values()], axis=0)
    print_row(["rendered and tracked again: correlation, spread, speed", f"{r:.3f}, {spread:.2f}, {speed:.2f}"])


if __name__ == "__main__":
    main()
