"""Synthetic training pairs of the repair networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stage2_render.training.repair.pair_dataset import FILES


def write_pairs(folder: Path, count: int = 24) -> Path:
    """Pairs whose targets are the warp with a dark patch where the map is; every third is of a photo."""
    random = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    files = {name: np.zeros((count, *shape), np.uint8) for name, shape in FILES.items()}
    for network in ("mouth", "eye"):
        reference, maps = files[f"{network}_reference"], files[f"{network}_maps"]
        reference[:] = random.integers(60, 200, (*reference.shape[:2], 1, 1, 3))
        files[f"{network}_warped"][:] = reference
        files[f"{network}_target"][:] = reference
        height, width = maps.shape[-2:]
        for row in range(count):
            top, left = height // 4 + row % 4, width // 4 + row % 5
            patch = np.s_[top : top + height // 3, left : left + width // 3]
            maps[(row, slice(None), 0, *patch)] = 255
            double = tuple(slice(2 * one.start, 2 * one.stop) for one in patch)
            files[f"{network}_target"][(row, slice(None), *double)] = 20
    for name, rows in files.items():
        np.save(folder / "train" / f"{name}.npy", rows)
    people = [f"person{8 + index % 8}" for index in range(count)]
    kinds = ["portrait" if index % 3 == 0 else "clip" for index in range(count)]
    boxes = np.tile(np.array([[30, 25, 110, 90], [15, 10, 60, 45], [15, 10, 60, 45]], np.float32), (count, 1, 1))
    np.savez(
        folder / "train" / "facts.npz", reference=np.arange(count), boxes=boxes, person=people, kind=kinds,
        opened=np.tile(np.array([-0.1, 0.1, 0.0], np.float32), count // 3), shut=np.arange(count) % 2 == 0,
        face=np.full(count, 200, np.float32),
    )  # fmt: skip
    return folder
