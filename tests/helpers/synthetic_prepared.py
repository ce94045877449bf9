"""A synthetic prepared data set, as `fd2talk prepare` writes one."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from shared.face_model import load_bundled
from shared.motion import Motion

CROP = [200.0, 200.0, 300.0]


def write_prepared(folder: Path, people: int = 12) -> Path:
    """Write a data set of people who open their mouths as loud as they are, and of eight photos; return the folder.

    The last two people are of split val. Faces are those that the bundled model draws.
    """
    model, random = load_bundled(), np.random.default_rng(0)
    for name in ("motions", "tracks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for index in range(people):
        loud = np.convolve(random.random(100) ** 3, np.ones(3) / 3, "same")
        audio = np.repeat(loud, 640) * random.normal(0, 0.2, 64000)
        noise = random.normal(0, 0.05, (100, 9))
        motion = Motion(
            expression=np.log(loud + 1e-2)[:, None] * 4 * model.extra["open"] + noise[:, :1] * model.extra["blink"],
            rotation=noise[:, 1:4] * 0.1,
            translation=noise[:, 4:7] * 0.1,
            face_model=model.fingerprint,
            audio=audio.astype(np.float32),
            identity=np.zeros(model.num_identity),
        )
        name = f"person_{index}"
        motion.save(folder / "motions" / f"{name}.npz")
        drawn = random.normal(size=(30, model.num_expression)) * (np.arange(model.num_expression) < 3)
        points = _in_pixels(model.vertices(random.normal(size=model.num_identity), drawn))
        np.savez(folder / "tracks" / f"{name}.npz", landmarks=points, confidence=np.ones(30, np.float32), crop=CROP)
        split = "val" if index >= people - 2 else "train"
        rows.append({"name": name, "person": name, "split": split, "audio": "ok"})
    with open(folder / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    stills = model.vertices(random.normal(size=(8, model.num_identity)), np.zeros((8, model.num_expression)))
    np.savez(
        folder / "portraits.npz",
        names=np.array([str(i) for i in range(8)]),
        splits=np.array(["train"] * 6 + ["val"] * 2),
        points=_in_pixels(stills),
        crops=np.tile(CROP, (8, 1)),
    )
    return folder


def _in_pixels(vertices: np.ndarray) -> np.ndarray:
    return (vertices * [1, -1, -1] + [200, 200, 0]).astype(np.float32)
