"""What the face tracker's two forms (mediapipe 0.10.21 and 1.x, see `shared.faces.face_tracker`) see differently.

    python3.12 scripts/compare_trackers.py track old.npz --photos ../shared/data/portraits --clips ../shared/data/clips
    python3.13 scripts/compare_trackers.py track new.npz --photos ../shared/data/portraits --clips ../shared/data/clips
    python scripts/compare_trackers.py compare old.npz new.npz

Distances are in the picture, as a share of the distance of the outer eye corners. Of photos and clips every n-th is
taken, at most 100 and 40, and of each clip the first six seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.mediapipe_mesh import groups
from shared.faces.tracker import track_photo, track_video
from shared.media import FPS, read_image, read_video
from shared.metrics.head import blink_rate
from shared.tracking import Track, motion_from_track

FRAMES = 150


@click.group()
def cli() -> None:
    pass


@cli.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--clips", type=click.Path(exists=True, path_type=Path), required=True)
def track(output: Path, photos: Path, clips: Path) -> None:
    """Track with the mediapipe that is installed."""
    found = {}
    for path in tqdm(chosen(photos.rglob("*.jpg"), 100), unit="photo"):
        try:
            found[f"photo {path.name}"] = track_photo(read_image(path))
        except InputError:
            continue
    for path in tqdm(chosen(clips.rglob("*.mp4"), 40), unit="clip"):
        points = track_video(islice(read_video(path), FRAMES))
        nowhere = np.full((478, 3), np.nan, np.float32)
        found[f"clip {path.parent.name} {path.name}"] = np.array([nowhere if p is None else p for p in points])
    np.savez_compressed(output, **found)


def chosen(paths: Iterable[Path], count: int) -> list[Path]:
    files = sorted(paths)
    return files[:: max(1, -(-len(files) // count))]


@cli.command()
@click.argument("old", type=click.Path(exists=True))
@click.argument("new", type=click.Path(exists=True))
def compare(old: str, new: str) -> None:
    """Print both tables."""
    before, after = np.load(old), np.load(new)
    photos, clips = ([name for name in before.files if name.startswith(kind)] for kind in ("photo", "clip"))
    both = [name for name in photos if name in after.files]
    distances = np.array([distance(before[name], after[name]) for name in both])  # [photos, 478]
    print(f"{len(both)} photos; found by the first alone: {len(photos) - len(both)}")
    print_head(["points", "mean", "90 % of photos are below", "largest mean of a photo"])
    for name in (None, "inner_lips", "lips", "eyes", "brows", "nose", "jaw", "contour"):
        of_photos = distances[:, slice(None) if name is None else groups()[name]].mean(1)
        figures = (of_photos.mean(), np.percentile(of_photos, 90), of_photos.max())
        print_row([name or "all 478", *(f"{100 * value:.2f} %" for value in figures)])
    rows = [row for row in (clip_figures(before[name], after[name]) for name in clips) if row is not None]
    names = ("distance, %", "lip gap: r", "difference, mm", "spread, new over old", "lid gap: r", "new over old")
    names += ("blinks a minute, old", "new", "jitter, new over old", "frames lost, old", "new")
    print_head(names, f"{len(rows)} clips, means")
    print_row(f"{value:.3g}" for value in np.nanmean(rows, axis=0))


def distance(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Distances [..., 478] of meshes [..., 478, 3], over the distance of the eyes."""
    eyes = np.linalg.norm((old[..., 33, :] - old[..., 263, :])[..., :2], axis=-1, keepdims=True)
    return np.linalg.norm((new - old)[..., :2], axis=-1) / eyes


def clip_figures(old: np.ndarray, new: np.ndarray) -> list[float] | None:
    """What the columns of the second table name; None for a clip that one of them cannot follow."""
    lost = [np.isnan(points[:, 0, 0]) for points in (old, new)]
    seen = ~(lost[0] | lost[1])
    try:
        faces = [vertices(points) for points in (old, new)]
    except InputError:
        return None
    lips, lids = ([measure(face) for face in faces] for measure in (lip_gap, lid_gap))
    jitter = [np.nanmean(np.linalg.norm(np.diff(points, 2, axis=0)[..., :2], axis=-1)) for points in (old, new)]
    return [
        100 * distance(old[seen], new[seen]).mean(),
        np.corrcoef(*lips)[0, 1],
        abs(lips[1] - lips[0]).mean(),
        lips[1].std() / lips[0].std(),
        np.corrcoef(*lids)[0, 1],
        lids[1].mean() / lids[0].mean(),
        *(blink_rate(lid, FPS) for lid in lids),
        jitter[1] / jitter[0],
        *(float(gone.sum()) for gone in lost),
    ]


def vertices(points: np.ndarray) -> np.ndarray:
    """The face model's fit of a track, without smoothing, as the person's face in mm [T, N, 3]."""
    track = Track.from_frames([None if np.isnan(mesh[0, 0]) else mesh for mesh in points])
    model = load_bundled()
    motion = motion_from_track(model, track, smooth=False)
    return model.vertices(motion.identity, motion.expression)


if __name__ == "__main__":
    cli()
