"""What the repair networks' pairs cost in shards: size of a pair, and time of a batch.

    python scripts/scale_pairs.py [VIDEO]

Frames of a video (default: the bundled portraits speaking, docs/demo.mp4) are tracked, and each is warped to the
meshes of others, as `fd2talk shard --for` does for clips. Columns: KB a pair with its share of the references, of which
seven pairs share one; milliseconds of the processor for a batch of 16 crops as `BatchSampler` draws it, augmented, and
pairs a second by that; mean error of the images, of 255 grey levels. `raw` are the .npy files, mapped into memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from markdown_tables import print_head, print_row

from shared.faces.crop import Crop
from shared.faces.tracker import track_video
from shared.media import read_video
from stage2_render.training.repair.batch_sampler import BatchSampler
from stage2_render.training.repair.build_pairs import Limits
from stage2_render.training.repair.pair_dataset import FILES, Pairs
from stage2_render.training.repair.pair_rows import Rows, make_pair
from stage2_render.training.repair.pair_shards import ShardedPairs, finish_pairs, write_pairs
from stage2_render.warp.mesh_warp import MeshWarp

CROPS, EACH, STEPS = 16, 7, 20


@click.command(help=__doc__)
@click.argument("video", default="docs/demo.mp4")
@click.option("--frames", default=96, show_default=True, help="Most frames that are used.")
def main(video: str, frames: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    images = list(islice(read_video(video), frames))
    side = min(images[0].shape[:2])
    images = [np.ascontiguousarray(image[:side, :side]) for image in images]
    rows = pairs_of(images, list(track_video(images)))
    count = len(rows.facts["person"])
    print_head(
        ["stored as", "KB a pair", "ms a batch of mouths", "of eyes", "pairs a second", "mean error"], f"{count} pairs"
    )
    with tempfile.TemporaryDirectory() as folder:
        raw = write_raw(Path(folder) / "raw", rows)
        report("raw (.npy)", Path(folder) / "raw", raw, raw)
        for name, quality in (("lossless", None), ("quality 95", 95), ("quality 90", 90), ("quality 80", 80)):
            place = Path(folder) / name
            place.mkdir()
            write_pairs(place, 0, [(lambda seed: rows,)], quality)
            finish_pairs(Limits(), place, [0])
            report(f"shards, {name}", place, ShardedPairs(place), raw)


def pairs_of(images: list[np.ndarray], meshes: list[np.ndarray | None]) -> Rows:
    """Pairs of frames: each reference with `EACH` others."""
    out, random = Rows(), np.random.default_rng(0)
    known = [k for k, mesh in enumerate(meshes) if mesh is not None]
    for k, mesh, warp in warps(images, meshes):
        first = -1
        for other in random.choice(known, EACH, replace=False).tolist():
            target = meshes[other]
            pair = make_pair(warp, mesh, target, images[other]) if target is not None else None
            if pair is None:
                continue
            first = out.add_reference(images[k], mesh) if first < 0 else first
            found, facts = pair
            out.add(found, person=f"p{k}", kind="clip", shut=False, face=300.0, reference=first, **facts)
    return out


def warps(images: list[np.ndarray], meshes: list[np.ndarray | None]) -> Iterator[tuple[int, np.ndarray, MeshWarp]]:
    for k, mesh in enumerate(meshes):
        if mesh is not None and k % 4 == 0:
            yield k, mesh, MeshWarp(images[k], mesh, Crop.around(mesh))


def write_raw(folder: Path, rows: Rows) -> Pairs:
    folder.mkdir()
    for name, values in rows.files.items():
        np.save(folder / f"{name}.npy", np.stack(values))
    np.savez(folder / "facts.npz", **{name: np.array(values) for name, values in rows.facts.items()})
    return Pairs(folder)


def report(name: str, folder: Path, pairs: Pairs, raw: Pairs) -> None:
    """Draw batches, and print the row."""
    size = sum(path.stat().st_size for path in folder.iterdir()) / len(pairs) / 1e3
    times: dict[str, float] = {}
    for network in ("mouth", "eye"):
        sampler = BatchSampler(pairs, network, portraits=0.0)
        sampler.draw(torch.Generator().manual_seed(99), CROPS)
        begun = time.process_time()
        for step in range(STEPS):
            sampler.draw(torch.Generator().manual_seed(step), CROPS)
        times[network] = (time.process_time() - begun) / STEPS
    images = [file for file in FILES if not file.endswith("maps")]
    some: Any = np.arange(0, 24)
    errors = [np.abs(pairs.files[file][some].astype(int) - raw.files[file][some]).mean() for file in images]
    row = [f"{size:.1f}", *(f"{1e3 * value:.0f}" for value in times.values()), f"{CROPS / times['mouth']:.0f}"]
    print_row([name, *row, f"{np.mean(errors):.1f}"])


if __name__ == "__main__":
    main()
