"""`fd2talk train` for the face model: its principal components are computed in one step (see `learn`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.face_model.training.learn import learn
from shared.face_model.training.sample import EVERY, MOST_HELD_OUT, MOST_PORTRAITS, Tracks, chosen, evenly
from shared.faces.crop import Crop
from shared.files import atomic_output
from shared.prepared import index_digest, load_portraits

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
    tracks = Tracks.of(prepared, "train")
    clips, run_length = chosen(tracks)
    people: dict[int, list[np.ndarray]] = defaultdict(list)
    for clip in tqdm(clips.tolist(), desc="tracks", leave=False):
        points = tracks.points(clip, run_length)
        if len(points) >= _MIN_FRAMES:
            people[int(tracks.person[clip])].append(points[::EVERY])
    portraits = _place_portraits(load_portraits(prepared))
    if not people or not len(portraits["train"]):
        raise InputError(f"{prepared}: the face model needs clips and portraits of the split train")
    sizes = {"num_identity": config.num_identity, "num_expression": config.num_expression}
    model = learn(list(people.values()), portraits["train"], name=config.name, **sizes)
    figures = {
        "lip residual of val clips, mm": lip_residual(model, _held_out(prepared)),
        "lip residual of val portraits, mm": lip_residual(model, (x[None] for x in portraits["val"])),
    }
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.safetensors", overwrite=True)
    card = _card(model, prepared, people, portraits["train"], figures, sampled=run_length is not None)
    with atomic_output(output / "README.md", overwrite=True) as temporary:
        temporary.write_text(card, encoding="utf-8")
    return {"best": str(output), "validation": figures}


def lip_residual(model: MorphableModel, clips: Iterable[np.ndarray]) -> float:
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


def _held_out(prepared: Path) -> Iterator[np.ndarray]:
    """Points of the clips of split val, one clip after the other."""
    tracks = Tracks.of(prepared, "val")
    for clip in tqdm(evenly(len(tracks.frames), MOST_HELD_OUT).tolist(), desc="held-out tracks", leave=False):
        points = tracks.points(clip)
        if len(points) >= _MIN_FRAMES:
            yield points


def _place_portraits(portraits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Points [P, 478, 3] in crop coordinates of the splits train and val, at most `MOST_PORTRAITS` of each."""
    crops, points = portraits["crops"], portraits["points"]
    found = {}
    for split in ("train", "val"):
        numbers = np.flatnonzero(portraits["splits"] == split)
        kept = numbers[evenly(len(numbers), MOST_PORTRAITS)]
        placed = [Crop(*crops[number].tolist()).to_crop(points[number]) for number in kept]
        found[split] = np.stack(placed) if placed else np.zeros((0, *points.shape[1:]), np.float32)
    return found


def _card(
    model: MorphableModel,
    prepared: Path,
    people: Mapping[int, list[np.ndarray]],
    portraits: np.ndarray,
    figures: dict[str, float],
    sampled: bool,
) -> str:
    frames = sum(len(points) for clips in people.values() for points in clips)
    data = index_digest(prepared)[:16]
    random = "They are a sample with a fixed seed of what is there" if sampled else "No randomness is involved"
    lines = [f"- {name}: {value:.3f}" for name, value in figures.items()]
    return "\n".join(
        [
            f"# Face model {model.fingerprint}",
            "",
            f"{model.num_vertices} vertices, {model.num_identity} identity and {model.num_expression} expression",
            f"components, learned from {frames} frames of {len(people)} people and {len(portraits)} portraits",
            f"(sha256 of the index of the data: {data}). {random}.",
            "",
            *lines,
            "",
        ]
    )
