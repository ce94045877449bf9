"""Training pairs from still photos: the reference is the photo warped to another expression, and is warped back."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_aperture
from shared.faces.crop import Crop
from shared.media import read_image
from shared.metrics.rendering import APERTURE_STEP
from shared.photo_fit import PhotoFit
from shared.prepared import load_motion, read_index
from stage2_render.training.repair.pair_rows import SHUT, Rows, make_pair
from stage2_render.warp.mesh_warp import MeshWarp

# Shares of pairs in which the photo's mouth is opened, closed and unchanged. Photos show sharp teeth: most pairs that
# can show how teeth appear do so.
_SHARES = (0.7, 0.15, 0.15)
# Expressions are drawn from so many motions, so many frames of each.
_MOTIONS, _FRAMES = 4, 12
# Standard deviations of the change of pose: pitch, yaw and roll in degrees; x, y and log scale (see `Motion`).
_ROTATION, _TRANSLATION = (3, 6, 2), (0.03, 0.03, 0.02)


def portrait_pairs(folders: tuple[Path, Path], stills: list[int], pairs: int, seed: int) -> Rows:
    """Make the pairs of a few still photos.

    Args:
        folders: the prepared folder, from whose training motions expressions are drawn, and that of its photos.
        stills: rows of portraits.npz.
        pairs: how many of each photo, at most.
        seed: of the choice.
    """
    prepared, photos = folders
    model, out = load_bundled(), Rows()
    with np.load(prepared / "portraits.npz", allow_pickle=False) as file:
        names, points = file["names"][stills], file["points"][stills]
    for still, name, landmarks in zip(stills, names, points):
        random = np.random.default_rng([seed, 1, still])
        image = read_image(photos / str(name))
        try:
            fit = PhotoFit.from_landmarks(image, landmarks, model)
        except InputError:  # a profile
            continue
        warp = MeshWarp(image, landmarks, fit.crop)
        for _ in range(pairs):
            mesh = _other_mesh(fit, prepared, random)
            reference = warp(mesh)
            back = MeshWarp(reference, mesh, Crop.around(mesh))
            pair = make_pair(back, mesh, landmarks, image)
            if pair is None:
                continue
            images, facts = pair
            facts["shut"] = bool(-lid_gap(landmarks) < SHUT * -lid_gap(mesh))
            facts |= {"reference": out.add_reference(reference, mesh), "face": float(np.ptp(landmarks[:468, 1]))}
            out.add(images, person=f"portrait:{name}", kind="portrait", **facts)
    return out


@lru_cache(maxsize=1)
def _training_motions(prepared: Path) -> list[str]:
    """Names of them; once for all photos that a process works on."""
    return [row["name"] for row in read_index(prepared) if row["split"] == "train"]


def _other_mesh(fit: PhotoFit, prepared: Path, random: np.random.Generator) -> np.ndarray:
    """The photo's mesh [478, 3] with another person's expression and a slightly different pose.

    The lips are opened less than, more than or as far as in the photo so that the pair with the photo is of the kinds
    wanted, as far as its mouth allows.
    """
    drawn = []
    motions = _training_motions(prepared)
    for place in random.choice(len(motions), _MOTIONS):
        expression = load_motion(prepared, motions[place]).expression
        drawn.append(expression[random.integers(len(expression), size=_FRAMES)])
    expressions = np.concatenate(drawn)  # [48, D]
    gain = lip_aperture(fit.landmarks) - lip_aperture(fit.vertices(expressions))
    kinds = gain > APERTURE_STEP, gain < -APERTURE_STEP, np.abs(gain) <= APERTURE_STEP
    groups = [np.flatnonzero(kind) for kind in kinds]
    shares = np.array(_SHARES) * [len(group) > 0 for group in groups]
    chosen = groups[random.choice(3, p=shares / shares.sum())]
    expression = expressions[random.choice(chosen)]
    rotation = fit.rotation + np.deg2rad(random.normal(0, _ROTATION))
    translation = fit.translation + random.normal(0, _TRANSLATION)
    return fit.vertices_px(expression, rotation.astype(np.float32), translation.astype(np.float32))
