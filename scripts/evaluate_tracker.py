"""Whether tracking depends on how long a face has been seen: clip starts and ends, and stills against clips.

    python scripts/evaluate_tracker.py ../shared/data/clips .cache/prepared

Prints two tables. The first: over all prepared clips, the mean of every pose and leading expression coefficient in the
first and the last ten frames, less the clip's mean, in units of the coefficient's spread within clips. The second: a
frame tracked as a photo against the same frame tracked within its clip.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.camera import rigid_fit
from shared.faces.tracker import track_photo
from shared.motion import Motion
from shared.prepared import clip_frames, load_motions, load_track, read_index
from stage1_motion.motion_space import relative_pose

EDGE = 10
LEADING = 8
NAMES = ["pitch", "yaw", "roll", "x", "y", "log scale"]
# Of a still: these moments of a clip, as shares of its length.
MOMENTS = (0.0, 0.4, 0.8)


def coefficients(motion: Motion) -> np.ndarray:
    """[T, 6 + LEADING]: pose relative to its mean, and the first expression coefficients."""
    return np.concatenate([relative_pose(motion), motion.expression[:, :LEADING]], axis=1)


def edges(motions: list[Motion]) -> list[str]:
    """Markdown rows: coefficient, bias of the first and last ten frames, and their trends, in spreads."""
    spreads, biases, trends = [], {"first": [], "last": []}, {"first": [], "last": []}
    for motion in motions:
        values = coefficients(motion)
        values = values - values.mean(0)
        spreads.append(values.std(0))
        for name, part in (("first", values[:EDGE]), ("last", values[-EDGE:])):
            biases[name].append(part.mean(0))
            trends[name].append(part[-1] - part[0])
    spread = np.mean(spreads, axis=0)
    means = [np.mean(of[name], axis=0) / spread for of in (biases, trends) for name in ("first", "last")]
    errors = np.std(biases["first"], axis=0) / spread / np.sqrt(len(motions))
    names = NAMES + [f"expression {i}" for i in range(LEADING)]
    rows = []
    for i, name in enumerate(names):
        first, last, first_trend, last_trend = (mean[i] for mean in means)
        rows.append(
            f"| {name} | {first:+.2f} | {last:+.2f} | {first_trend:+.2f} | {last_trend:+.2f} | {errors[i]:.2f} |"
        )
    return rows


def still_against_clip(clips: Path, prepared: Path, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance of the points over the eye distance, and the change of scale, of every frame compared [n]."""
    rigid, distances, scales = load_bundled().groups["rigid"], [], []
    for row in tqdm(rows, unit="clip", leave=False):
        track, frames = load_track(prepared / "tracks" / f"{row['name']}.npz"), list(clip_frames(clips, row))
        for moment in MOMENTS:
            index = int(moment * (len(frames) - 1))
            seen = track.landmarks[index]
            try:
                still = track_photo(frames[index])
            except InputError:
                continue
            eyes = np.linalg.norm(seen[33, :2] - seen[263, :2])
            distances.append(np.linalg.norm((still - seen)[:, :2], axis=1).mean() / eyes)
            flat = [points[rigid] * [1, -1, -1] for points in (seen, still)]
            scales.append(float(rigid_fit(flat[0] * 100, flat[1] * [1, -1, 1])[1][2]))
    return np.array(distances), np.array(scales)


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--stills", default=40, show_default=True, help="Clips whose frames are tracked as photos.")
def main(clips: Path, prepared: Path, stills: int) -> None:
    rows = [row for row in read_index(prepared) if row["split"] != "val" and int(row["frames"]) >= 3 * EDGE]
    motions = list(load_motions(prepared, rows, load_bundled()).values())
    growth = [m.translation[EDGE, 2] - m.translation[0, 2] for m in motions]
    print(f"{len(motions)} clips; scale from frame 0 to {EDGE}: {100 * np.mean(growth):+.2f} %,", end=" ")
    print(f"growing in {100 * np.mean(np.array(growth) > 0):.0f} % of them\n")
    print("| coefficient | first ten | last ten | trend in the first ten | in the last ten | standard error |")
    print("|---|---|---|---|---|---|")
    print("\n".join(edges(motions)))
    chosen = np.random.default_rng(0).permutation(len(rows))[:stills]
    distances, scales = still_against_clip(clips, prepared, [rows[i] for i in chosen])
    print(
        f"\nstill against clip, {len(distances)} frames: points {100 * distances.mean():.2f} % of the eye distance",
        end=" ",
    )
    print(
        f"(at most {100 * distances.max():.2f}), scale {100 * scales.mean():+.2f} % (spread {100 * scales.std():.2f})"
    )


if __name__ == "__main__":
    main()
