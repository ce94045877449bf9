"""Dependence of tracking on time: starts and ends of clips, and stills against clips.

    python scripts/evaluate_tracker.py ../shared/data/clips .cache/prepared

Prints two results. First, over all prepared clips: the mean of each pose and leading expression coefficient in the
first and the last ten frames, minus the clip's mean, in units of the coefficient's standard deviation within clips.
Second: a frame tracked as a photo against the same frame tracked within its clip.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.camera import rigid_fit
from shared.faces.tracker import track_photo, track_video
from shared.motion import Motion
from shared.prepared import clip_frames, load_motions, load_track, read_index
from shared.tracking import Track, motion_from_track
from stage1_motion.motion_space import relative_pose

EDGE = 10
LEADING = 8
NAMES = ["pitch", "yaw", "roll", "x", "y", "log scale", *(f"expression {i}" for i in range(LEADING))]
# Times of the stills, as shares of a clip's length.
MOMENTS = (0.0, 0.4, 0.8)


def coefficients(motion: Motion) -> np.ndarray:
    """[T, 6 + LEADING]: pose relative to its mean, and the first expression coefficients."""
    return np.concatenate([relative_pose(motion), motion.expression[:, :LEADING]], axis=1)


def edges(motions: list[Motion]) -> np.ndarray:
    """[6 + LEADING, 5]: bias of the first and last frames, trend within them, standard error of the first bias.

    All in units of the coefficients' standard deviation.
    """
    clips = [values - values.mean(0) for values in map(coefficients, motions)]
    spread = np.mean([values.std(0) for values in clips], axis=0)
    parts = [[values[:EDGE] for values in clips], [values[-EDGE:] for values in clips]]
    biases = [np.array([part.mean(0) for part in of_clips]) for of_clips in parts]
    trends = [np.array([part[-1] - part[0] for part in of_clips]) for of_clips in parts]
    columns = [values.mean(0) / spread for values in (*biases, *trends)]
    return np.stack([*columns, biases[0].std(0) / spread / np.sqrt(len(motions))], axis=1)


def still_against_clip(clips: Path, prepared: Path, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance of the landmarks over the eye distance, and the change of scale, of every frame compared [n]."""
    rigid, distances, scales = load_bundled().groups["rigid"], [], []
    for row in tqdm(rows, unit="clip", leave=False):
        track, frames = load_track(prepared / "tracks" / f"{row['name']}.npz"), list(clip_frames(clips, row))
        for moment in MOMENTS:
            index = int(moment * (len(frames) - 1))
            tracked = track.landmarks[index]
            try:
                still = track_photo(frames[index])
            except InputError:
                continue
            eyes = np.linalg.norm(tracked[33, :2] - tracked[263, :2])
            distances.append(np.linalg.norm((still - tracked)[:, :2], axis=1).mean() / eyes)
            flat = [points[rigid] * [1, -1, -1] for points in (tracked, still)]
            scales.append(float(rigid_fit(flat[0] * 100, flat[1] * [1, -1, 1])[1][2]))
    return np.array(distances), np.array(scales)


def both_directions(clips: Path, rows: list[dict]) -> np.ndarray:
    """[n, 2] in percent: scale of the first ten frames over the clip's, tracked forwards and backwards."""
    found = []
    for row in tqdm(rows, unit="clip", leave=False):
        frames = list(clip_frames(clips, row))
        try:
            tracked = [Track.from_frames(list(track_video(order))) for order in (frames, frames[::-1])]
        except InputError:
            continue
        scales = [motion_from_track(load_bundled(), track).translation[:, 2] for track in tracked]
        starts = scales[0][:EDGE], scales[1][-EDGE:]
        found.append([100 * (start.mean() - scale.mean()) for start, scale in zip(starts, scales)])
    return np.array(found)


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--stills", default=40, show_default=True, help="Clips that are tracked again.")
def main(clips: Path, prepared: Path, stills: int) -> None:
    rows = [row for row in read_index(prepared) if row["split"] != "val" and int(row["frames"]) >= 3 * EDGE]
    motions = list(load_motions(prepared, rows, load_bundled()).values())
    growth = np.array([m.translation[EDGE, 2] - m.translation[0, 2] for m in motions])
    change = f"{100 * growth.mean():+.2f} %, growing in {100 * np.mean(growth > 0):.0f} % of them"
    print(f"{len(motions)} clips; scale from frame 0 to {EDGE}: {change}\n")
    parts = ["first ten", "last ten", "trend in the first ten", "in the last ten"]
    print_head(["coefficient", *parts, "standard error"])
    for name, (*values, error) in zip(NAMES, edges(motions)):
        print_row([name, *(f"{value:+.2f}" for value in values), f"{error:.2f}"])
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:stills]]
    starts = both_directions(clips, rows)
    means, errors = starts.mean(0), starts.std(0) / np.sqrt(len(starts))
    names = ("tracked forwards", "backwards")
    print(f"\nscale of the first ten frames over the clip's, {len(starts)} clips:", end=" ")
    print(", ".join(f"{name} {mean:+.2f} ({error:.2f}) %" for name, mean, error in zip(names, means, errors)))
    distances, scales = still_against_clip(clips, prepared, rows)
    share = f"within 1 % in {100 * np.mean(distances < 0.01):.0f} % of the frames"
    points = f"landmarks {100 * distances.mean():.2f} % of the eye distance ({share})"
    scale = f"scale {100 * scales.mean():+.2f} % (standard deviation {100 * scales.std():.2f})"
    print(f"\nstill against clip, {len(distances)} frames: {points}, {scale}")


if __name__ == "__main__":
    main()
