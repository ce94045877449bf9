"""A synthetic training set of the diffusion renderer, and trainings on it."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from synthetic import BOXES, COEFFICIENTS, face, task_of

from stage2_render.training import autoencoder

NETWORK = {"latent_channels": 6, "coarse": 16, "fine": 8, "fine_blocks": 1}
FIRST_IMAGES = 24
"""Images for the initialisation of an autoencoder: of faces as alike as these, few are enough."""


def write_frames(folder: Path, count: int = 60, *, people: int = 20, seed: int = 0) -> Path:
    """Write a `frame_set` of faces of one colour each, whose mouths are open as the first coefficient says."""
    random = np.random.default_rng(seed)
    colours = random.integers(110, 230, (people, 3))
    person = np.arange(count) % people
    opened = random.uniform(0, 1, count)
    coefficients = random.normal(0, 0.05, (count, COEFFICIENTS)).astype(np.float32)
    coefficients[:, 0] = 2 * opened
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", np.stack([face(colours[p], gap) for p, gap in zip(person, opened)]))
    np.savez(
        folder / "facts.npz",
        person=np.array([f"person{p}" for p in person]),
        take=person,
        time=np.arange(count) // people,
        coefficients=coefficients,
        boxes=np.tile(np.array(BOXES, np.float32), (count, 1, 1)),
        aperture=opened.astype(np.float32),
        mirror=np.array([1, 1, -1, -1, -1, 1, 1], np.float32),
    )
    return folder


def frames_section(frames: Path) -> dict[str, str]:
    """The section `data` for frames that exist."""
    return {"frames": str(frames), "clips": "none"}


def autoencoder_task(frames: Path, **changes: object) -> autoencoder.AutoencoderTask:
    """A small autoencoder on these frames."""
    torch.manual_seed(0)
    config = {"data": frames_section(frames), "network": NETWORK, "loss": {"noise": 0.1}}
    with patch.object(autoencoder, "_FIRST_IMAGES", FIRST_IMAGES):
        return task_of(autoencoder, **{**config, **changes})
