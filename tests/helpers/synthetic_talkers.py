"""A synthetic prepared data set of people with several clips: short ones, silent ones, of both splits."""

from __future__ import annotations

import csv
from pathlib import Path

from synthetic_prepared import write_prepared

from shared.motion import Motion


def write_talkers(folder: Path, people: int = 20) -> Path:
    """Write `write_prepared`'s people, each of whom has two more clips; return the folder.

    Before a person's own clip comes one that is as long as their number says, 20 frames and more; of every third person
    it has no sound. Behind all of them comes, of every second person, another one.
    """
    write_prepared(folder, people)
    with open(folder / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    index = []
    for number, row in enumerate(rows):
        silent = number % 3 == 0
        _piece(folder, row["name"], "short", slice(0, 20 + 4 * number), silent)
        index += [{**row, "name": f"{row['name']}_short", "audio": "none" if silent else "ok"}, row]
    for row in rows[::2]:
        _piece(folder, row["name"], "again", slice(15, 95), False)
        index.append({**row, "name": f"{row['name']}_again"})
    with open(folder / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, index[0])
        writer.writeheader()
        writer.writerows(index)
    return folder


def _piece(folder: Path, name: str, suffix: str, frames: slice, silent: bool) -> None:
    """A part of a motion as a clip of its own; it has no track."""
    motion = Motion.load(folder / "motions" / f"{name}.npz")
    frames = slice(*frames.indices(len(motion)))
    assert motion.audio is not None
    Motion(
        expression=motion.expression[frames],
        rotation=motion.rotation[frames],
        translation=motion.translation[frames],
        face_model=motion.face_model,
        audio=None if silent else motion.audio[640 * frames.start : 640 * frames.stop],
        identity=motion.identity,
    ).save(folder / "motions" / f"{name}_{suffix}.npz")
