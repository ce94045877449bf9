"""Stage one on people that were never trained on: lip sync, closure, blinks, head, seams, silence.

    python scripts/evaluate_motion.py --data ../shared/data/clips --prepared .cache/prepared [--rendered]

The photo is the first frame of each clip, the speech is the clip's own. Curves are lip apertures (inner-lip distance
over eye-corner distance): real ones of the tracked clip, generated ones of the Motion's mesh or, with --rendered, of
the rendered video tracked again. Prints Markdown; medians are over people, a person's clips averaged.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_aperture
from shared.faces.tracker import track_video
from shared.media import read_video
from shared.metrics.lips import best_lag_correlation, closure_rate, spread_and_speed
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.tracking import smoothed_expression
from shared.weights import bundled
from stage1_motion.dataset import cached_speech, load_clips
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.lip_expert.training import sync_auc
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.windowed_sampling import seams


@click.command(help=__doc__)
@click.option("--data", default="../shared/data/clips", show_default=True, help="folder of the clips")
@click.option("--prepared", default=".cache/prepared", show_default=True, help="what `fd2talk prepare` made of them")
@click.option("--weights", default="bundled", show_default=True)
@click.option("--split", default="val", show_default=True)
@click.option("--alignment", default=None, help="phones of the GRID clips (JSON lines of scripts/align_speech.py)")
@click.option("--rendered", is_flag=True, help="also render each clip and track the video again")
@click.option("--steps", default=None, type=int)
@click.option("--guidance", default=None, type=float)
@click.option("--seeds", default=1, show_default=True)
@click.option("--limit", default=None, type=int, help="first so many clips only")
def main(data, prepared, weights, split, alignment, rendered, steps, guidance, seeds, limit) -> None:
    model, pipeline = load_bundled(), MotionPipeline.from_pretrained(weights)
    if guidance is not None:
        pipeline.model.expression.guidance_scale = guidance
    rows = [r for r in csv.DictReader(open(Path(prepared) / "index.csv")) if r["split"] == split and r["audio"] == "ok"]
    rows = rows[:limit]
    clips = []
    for row in tqdm(rows, desc="photos"):
        real = Motion.load(Path(prepared) / "motions" / f"{row['name']}.npz", face_model=model.fingerprint)
        photo = PhotoFit.fit(next(iter(read_video(Path(data) / row["file"]))), model)
        aperture = lip_aperture(model.vertices(real.identity, real.expression))
        clips.append((row, real, photo, aperture))

    own, foreign, apertures, motions = defaultdict(list), defaultdict(list), {}, {}
    for index, (row, real, photo, aperture) in enumerate(tqdm(clips, desc="own speech")):
        for seed in range(seeds):
            motion = pipeline(real.audio, photo=photo, seed=seed, steps=steps)
            made = lip_aperture(photo.vertices(motion.expression))
            own[row["person"]].append((best_lag_correlation(made, aperture)[0], *spread_and_speed(made, aperture)))
        apertures[row["file"]], motions[row["file"]] = made, motion
        others = [c for c in clips if c[0]["person"] != row["person"] and not c[0]["person"].startswith("grid")]
        if not row["person"].startswith("grid") and others:
            stranger = others[index % len(others)][1].audio
            made = lip_aperture(photo.vertices(pipeline(stranger, photo=photo, seed=0, steps=steps).expression))
            foreign[row["person"]].append(best_lag_correlation(made, aperture)[0])

    people = np.array([np.mean(v, axis=0) for v in own.values()])
    print("\n| figure | value |\n|---|---|")
    print(f"| people / clips | {len(people)} / {len(clips)} |")
    print(f"| lip aperture: correlation, median over people | {np.median(people[:, 0]):.3f} |")
    print(f"| with another clip's speech (GRID left out) | {np.median([np.mean(v) for v in foreign.values()]):.3f} |")
    inside = np.mean((people[:, 1] >= 0.6) & (people[:, 1] <= 1.4))
    print(f"| spread over real, median; share of people in 0.6..1.4 | {np.median(people[:, 1]):.2f}; {inside:.2f} |")
    inside = np.mean((people[:, 2] >= 0.6) & (people[:, 2] <= 1.4))
    print(f"| speed over real, median; share of people in 0.6..1.4 | {np.median(people[:, 2]):.2f}; {inside:.2f} |")
    _expert(Path(prepared), pipeline, weights, split)
    _eyes_and_head(clips, motions, model)
    _seams_and_silence(pipeline, clips[0][2], clips, steps)
    if alignment:
        _closure(Path(data), Path(prepared), alignment, model, pipeline, steps)
    if rendered:
        _rendered(clips, motions)


def _expert(prepared, pipeline, weights, split) -> None:
    """The lip expert on real motion: matched windows against others."""
    folder = bundled("fd2talk") if weights == "bundled" else Path(weights)
    speech = cached_speech(pipeline.encoder, pipeline.phonetics, ".cache")
    clips, _ = load_clips(prepared, pipeline.model.space, speech, split=split)
    auc = sync_auc(LipExpert.load(folder / "lip_expert.safetensors"), clips)
    print(f"| lip expert, AUC against shifted and foreign speech | {auc['shifted']:.3f}, {auc['foreign']:.3f} |")


def _eyes_and_head(clips, motions, model) -> None:
    seconds = blinks = 0.0
    ratios, angles = [], []
    for row, real, photo, _ in clips:
        motion = motions[row["file"]]
        lids = lid_gap(photo.vertices(motion.expression))
        closed = lids < 0.5 * np.percentile(lids, 75)
        blinks += (np.diff(closed.astype(int), prepend=0) == 1).sum()
        seconds += len(motion) / 25
        made, true = (_rotation_spread(m) for m in (motion, real))
        if len(motion) >= 75:
            ratios.append(made / max(true, 1e-6))
            angles.append((made, true))
    made, true = np.degrees(np.median(angles, axis=0))
    print(f"| blinks per minute | {blinks / seconds * 60:.1f} |")
    print(
        f"| head rotation, standard deviation within a clip, generated and real, median | {made:.2f}° and {true:.2f}° |"
    )
    print(f"| the same, generated over real, median over clips of 3 s or more | {np.median(ratios):.2f} |")


def _rotation_spread(motion: Motion) -> float:
    rotation = Rotation.from_rotvec(motion.rotation)
    return float((rotation * rotation.mean().inv()).as_rotvec().std(0).mean())


def _seams_and_silence(pipeline, photo, clips, steps) -> None:
    """One long recording made of many clips; steps at the seams of windows against steps elsewhere."""
    speech = np.concatenate([c[1].audio for c in clips])[: 16000 * 90]
    motion = pipeline(speech, photo=photo, seed=1, steps=steps)
    for name, part in (("expression", pipeline.model.expression), ("pose", pipeline.model.pose)):
        curve = motion.expression if name == "expression" else np.hstack([motion.rotation, motion.translation])
        if name == "expression":  # blinks are added afterwards and have no seams
            curve = photo.vertices(curve)[:, pipeline.face_model.groups["mouth"]].reshape(len(motion), -1)
        step = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        at = np.array(seams(part.network.config, len(motion))) - 1
        elsewhere = np.delete(step, at)
        share = np.mean(step[at] <= np.percentile(elsewhere, 99))
        print(
            f"| {name}: largest step at {len(at)} seams over the 99th percentile elsewhere; share within it | "
            f"{step[at].max() / np.percentile(elsewhere, 99):.2f}; {share:.2f} |"
        )
    rng = np.random.default_rng(0)
    talking = lip_aperture(photo.vertices(motion.expression))
    for name, sound in (("digital silence", np.zeros(16000 * 8)), ("faint noise", rng.normal(0, 1e-3, 16000 * 8))):
        quiet = lip_aperture(photo.vertices(pipeline(sound.astype(np.float32), photo=photo, steps=steps).expression))
        print(
            f"| {name}: mean and standard deviation of the aperture (talking: {talking.mean():.3f}, "
            f"{talking.std():.3f}) | {quiet.mean():.3f}, {quiet.std():.3f} |"
        )
    both = [pipeline(clips[0][1].audio, photo=photo, seed=s, steps=steps) for s in (0, 0, 1)]
    same = all(np.array_equal(getattr(both[0], k), getattr(both[1], k)) for k in ("expression", "rotation"))
    difference = np.degrees(np.abs(both[0].rotation - both[2].rotation).mean())
    print(f"| the same seed gives the same motion | {same} |")
    print(f"| two seeds: mean difference of head angles | {difference:.2f}° |")


def _closure(data, prepared, alignment, model, pipeline, steps) -> None:
    """Bilabials of GRID clips of `val` and `personal`: does the aperture fall to its lowest quarter?"""
    rows = {r["file"]: r for r in csv.DictReader(open(prepared / "index.csv"))}
    counted: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    photos: dict[str, PhotoFit] = {}
    for line in tqdm([json.loads(text) for text in open(alignment)], desc="bilabials"):
        row = rows.get(line["file"])
        moments = np.array([(a + b) / 2 for phone, a, b in line["phones"] if phone in ("B", "P", "M")])
        if row is None or row["split"] not in ("val", "personal") or not len(moments):
            continue
        real = Motion.load(prepared / "motions" / f"{row['name']}.npz")
        if row["person"] not in photos:
            photos[row["person"]] = PhotoFit.fit(next(iter(read_video(data / row["file"]))), model)
        photo = photos[row["person"]]
        expression = pipeline(real.audio, photo=photo, steps=steps).expression
        # The real curve went through the smoothing of tracks: a lip that closes for one frame does not come out of it.
        curves = [lip_aperture(photo.vertices(e)) for e in (expression, smoothed_expression(expression))]
        curves.append(lip_aperture(model.vertices(real.identity, real.expression)))
        counted[row["split"]].append((*(closure_rate(curve, moments) for curve in curves), len(moments)))
    every = np.array([item for items in counted.values() for item in items])
    made, smoothed, real = (np.average(every[:, k], weights=every[:, 3]) for k in range(3))
    count = int(every[:, 3].sum())
    print(f"| b, p, m of GRID ({count}) that close the lips | {made:.2f} |")
    print(f"| the same, smoothed as tracked clips are | {smoothed:.2f} |")
    print(f"| the same in the real clips | {real:.2f} |")


def _rendered(clips, motions) -> None:
    from stage2_render.pipeline import RenderPipeline

    renderer = RenderPipeline.from_pretrained("bundled")
    people = defaultdict(list)
    for row, _, photo, aperture in tqdm(clips, desc="rendered"):
        frames = renderer(photo, motions[row["file"]])
        points = [p for p in track_video(frames)]
        if any(p is None for p in points):
            print(f"| {row['file']}: the tracker lost the face in {sum(p is None for p in points)} frames | |")
        made = np.array([np.nan if p is None else lip_aperture(p) for p in points])
        made = np.nan_to_num(made, nan=float(np.nanmean(made)))
        people[row["person"]].append((best_lag_correlation(made, aperture)[0], *spread_and_speed(made, aperture)))
    values = np.array([np.mean(v, axis=0) for v in people.values()])
    r, spread, speed = np.median(values, axis=0)
    print(f"| rendered and tracked again: correlation, spread, speed | {r:.3f}, {spread:.2f}, {speed:.2f} |")


if __name__ == "__main__":
    main()
