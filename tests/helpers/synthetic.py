"""A set of training pairs drawn by numbers: faces of one colour each whose mouth opens as their coefficients say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stage2_render.diffusion.conditioning_maps import MAPS

SIZE, COEFFICIENTS = 256, 7
BOXES = [[90, 150, 166, 220], [60, 50, 110, 80], [146, 50, 196, 80]]


def face(colour: np.ndarray, opened: float) -> np.ndarray:
    """A picture uint8 [256, 256, 3]: skin, two eyes, a mouth."""
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    image[:] = np.linspace(40, 90, SIZE)[:, None, None]
    cv2.ellipse(image, (128, 130), (90, 115), 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
    for x in (85, 171):
        cv2.ellipse(image, (x, 65), (18, 9), 0, 0, 360, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.circle(image, (x, 65), 7, (30, 20, 10), -1, cv2.LINE_AA)
    cv2.ellipse(image, (128, 185), (30, 3 + int(20 * opened)), 0, 0, 360, (120, 20, 30), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 2)


def write_pairs(folder: Path, count: int = 40, *, framing: str = "face", seed: int = 0) -> Path:
    """Write FOLDER/train as `pairs.build` does, with `count` pairs of 20 people and return FOLDER.

    The warp leaves the mouth as far open as the reference has it, which is shut.
    """
    random = np.random.default_rng(seed)
    people = 20
    colours = random.integers(110, 230, (people, 3))
    shut = [face(colour, 0.0) for colour in colours]
    person = np.arange(count) % people
    opened = random.uniform(0, 1, count)
    coefficients = random.normal(0, 1, (count, COEFFICIENTS)).astype(np.float32)
    coefficients[:, 0] = 2 * opened
    maps = np.full((count, len(MAPS), 64, 64), 128, np.uint8)
    for row, gap in zip(maps, opened):
        mouth = np.zeros((64, 64), np.uint8)
        row[0] = cv2.ellipse(mouth, (32, 46), (7, 1 + int(5 * gap)), 0, 0, 360, 255, -1)
    train = folder / "train"
    train.mkdir(parents=True)
    np.save(train / "reference.npy", np.stack(shut))
    np.save(train / "warped.npy", np.stack([shut[p] for p in person]))
    np.save(train / "target.npy", np.stack([face(colours[p], gap) for p, gap in zip(person, opened)]))
    np.save(train / "maps.npy", maps)
    np.save(train / "heads.npy", np.stack(shut[:8]))
    np.savez(
        train / "facts.npz",
        reference=person,
        coefficients=coefficients,
        boxes=np.tile(np.array(BOXES, np.float32), (count, 1, 1)),
        person=np.array([f"person{p}" for p in person]),
        kind=np.array(["portrait" if p % 5 == 0 else "clip" for p in person]),
        opened=opened - 0.3,
        shut=np.arange(count) % 7 == 3,
        framing=framing,
    )
    return folder
