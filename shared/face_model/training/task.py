"""`fd2talk train` for the face model: its principal components are computed in one step (see `learn`)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.face_model.training.learn import learn
from shared.faces.crop import Crop
from shared.files import atomic_output
from shared.prepared import load_portraits, load_track, read_index

# Neighbouring frames hardly differ.
_EVERY = 2
# Clips with fewer frames with a face describe the tracker's noise more than the person.
_MIN_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: face_model` of `fd2talk train`.

    Args:
        prepared: folder of `fd2talk prepare`.
        output: folder of `best/`, the weights and their card.
        name, num_identity, num_expression: see `learn`.
    """

    prepared: str = ".cache/prepared"
    output: str
    name: str = "fd2talk478"
    num_identity: int = 40
    num_expression: int = 64


def run(config: Config) -> dict[str, Any]:
    """Train from a prepared folder and write ``output/best/model.safetensors`` with a card.

    Args:
        config: the settings.

    Returns:
        {"best": folder, "validation": mean lip-vertex residual in mm of people of split val}.

    Raises:
        InputError: the folder is not a prepared one, or has no training clips.
    """
    prepared, output = Path(config.prepared), Path(config.output) / "best"
    clips = _read_clips(prepared)
    people = defaultdict(list)
    for row, points in clips:
        if row["split"] == "train":
            people[row["person"]].append(points[::_EVERY])
    portraits = _place_portraits(load_portraits(prepared))
    if not people or not len(portraits["train"]):
        raise InputError(f"{prepared}: the face model needs clips and portraits of the split train")
    sizes = {"num_identity": config.num_identity, "num_expression": config.num_expression}
    model = learn(list(people.values()), portraits["train"], name=config.name, **sizes)
    held_out = [points for row, points in clips if row["split"] == "val"]
    figures = {
        "lip residual of val clips, mm": lip_residual(model, held_out),
        "lip residual of val portraits, mm": lip_residual(model, [x[None] for x in portraits["val"]]),
    }
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.safetensors", overwrite=True)
    with atomic_output(output / "README.md", overwrite=True) as temporary:
        temporary.write_text(_card(model, prepared, people, portraits["train"], figures), encoding="utf-8")
    return {"best": str(output), "validation": figures}


def lip_residual(model: MorphableModel, clips: list[np.ndarray]) -> float:
    """Mean distance in mm between tracked lip vertices and the fitted model's; NaN without clips.

    The residual is measured in the face's own frame (outer eye corners 90 mm apart on the mean face), averaged over
    vertices, frames and then clips, using every third frame.

    Args:
        model: the face model.
        clips: each [T, 478, 3] in crop coordinates.
    """
    lips = model.groups["lips"]
    residuals = [np.linalg.norm(fit(model, clip[::3]).residual[:, lips], axis=-1).mean() for clip in clips]
    return float(np.mean(residuals)) if residuals else float("nan")


def _read_clips(prepared: Path) -> list[tuple[dict[str, str], np.ndarray]]:
    """Index rows and points [T, 478, 3] in crop coordinates of the frames with a detected face."""
    # Points that a face model has drawn (`face_px` 0: scanned meshes) teach none.
    rows = [r for r in read_index(prepared) if r["split"] in ("train", "val") and r.get("face_px") != "0"]
    clips = []
    for row in tqdm(rows, desc="tracks", leave=False):
        track = load_track(prepared / "tracks" / f"{row['name']}.npz")
        seen = track.landmarks[track.confidence > 0]
        if len(seen) >= _MIN_FRAMES:
            clips.append((row, track.crop.to_crop(seen)))
    return clips


def _place_portraits(portraits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Points [P, 478, 3] in crop coordinates of the splits train and val."""
    crops, points = portraits["crops"], portraits["points"]
    placed = np.stack([Crop(*crop.tolist()).to_crop(mesh) for crop, mesh in zip(crops, points)])
    return {split: placed[portraits["splits"] == split] for split in ("train", "val")}


def _card(
    model: MorphableModel, prepared: Path, people: dict[str, list], portraits: np.ndarray, figures: dict[str, float]
) -> str:
    frames = sum(len(points) for clips in people.values() for points in clips)
    data = hashlib.sha256((prepared / "index.csv").read_bytes()).hexdigest()[:16]
    lines = [f"- {name}: {value:.3f}" for name, value in figures.items()]
    return "\n".join(
        [
            f"# Face model {model.fingerprint}",
            "",
            f"{model.num_vertices} vertices, {model.num_identity} identity and {model.num_expression} expression",
            f"components, learned from {frames} frames of {len(people)} people and {len(portraits)} portraits",
            f"(sha256 of the index of the data: {data}). No randomness is involved.",
            "",
            *lines,
            "",
        ]
    )
