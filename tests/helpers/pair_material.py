"""Videos and photos of animated demo portraits whose meshes are known, prepared, for pairs of the repair networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from portraits import portrait

from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap
from shared.faces.crop import Crop
from shared.photo_fit import PhotoFit
from shared.tracking import Track, motion_from_track
from shared.video_writer import VideoWriter
from stage2_render.training.repair.build_pairs import Limits, build
from stage2_render.warp.mesh_warp import MeshWarp

LIMITS = Limits(pairs_per_person=24, pairs_per_portrait=2, val_pairs=3, val_portrait_pairs=2, portraits=1)
FRAMES, CUT = 32, 24


def clip(folder: Path, name: str) -> np.ndarray:
    """The meshes [T, 478, 3] of a video: a head nods, opens its mouth and blinks, from frame `CUT` on upside down."""
    image, landmarks = portrait(name, 256)
    fit = PhotoFit.from_landmarks(image, landmarks, load_bundled())
    warp = MeshWarp(image, landmarks, fit.crop)
    beat = 1 - np.cos(2 * np.pi * np.arange(FRAMES) / 10)[:, None]
    expression = fit.expression + 2.5 * beat * fit.model.extra["open"]
    blink = np.isin(np.arange(FRAMES), (2, 3, 8, 9, 14, 15, 20, 21))[:, None] * lid_gap(fit.vertices(fit.expression))
    expression = expression + blink * fit.model.extra["blink"]
    rotation = fit.rotation + 0.05 * beat * np.array([0.5, 1, 0])
    meshes = fit.vertices_px(expression, rotation, np.repeat(fit.translation[None], FRAMES, 0))
    with VideoWriter(folder / f"{name}.mp4", (256, 256)) as video:
        for index, mesh in enumerate(meshes):
            frame = warp(mesh)
            video.write(frame if index < CUT else np.ascontiguousarray(frame[::-1]))
    return meshes


def write_material(root: Path) -> Path:
    """Write the folders `clips`, `photos` and `prepared`; return their folder."""
    for name in ("clips", "photos", "prepared/motions", "prepared/tracks"):
        (root / name).mkdir(parents=True)
    model, index = load_bundled(), ["name,file,person,split,face_px"]
    for name, split in (("portrait_woman", "train"), ("portrait_man", "val")):
        meshes = clip(root / "clips", name)
        track = Track.from_frames(list(meshes))
        motion_from_track(model, track, source=name).save(root / "prepared" / "motions" / f"{name}.npz")
        crop = [track.crop.center_x, track.crop.center_y, track.crop.side]
        np.savez(root / "prepared" / "tracks" / f"{name}.npz", landmarks=meshes, confidence=track.confidence, crop=crop)
        index.append(f"{name},{name}.mp4,{name},{split},200")
    # Too small a face, used for its motion alone; and the person kept for personalisation, whose files are not read.
    shutil.copy(root / "prepared/motions/portrait_woman.npz", root / "prepared/motions/small.npz")
    index += ["small,small.mp4,small,train,90", "own,own.mp4,own,personal,200"]
    (root / "prepared" / "index.csv").write_text("\n".join(index) + "\n")
    names = ["portrait_woman_2", "portrait_man_2"]
    stills = [portrait(name, 256) for name in names]
    for name, (image, _) in zip(names, stills):
        cv2.imwrite(str(root / "photos" / f"{name}.png"), image[..., ::-1])
    crops = [Crop.around(points) for _, points in stills]
    np.savez(
        root / "prepared" / "portraits.npz",
        names=[f"{name}.png" for name in names],
        splits=["train", "val"],
        points=np.stack([points for _, points in stills]),
        crops=[[crop.center_x, crop.center_y, crop.side] for crop in crops],
    )
    return root


def build_small(material: Path, out: Path, **more: int) -> Path:
    """Build the pairs of `LIMITS`."""
    build(material / "prepared", material / "clips", material / "photos", out, limits=LIMITS, **more)
    return out
