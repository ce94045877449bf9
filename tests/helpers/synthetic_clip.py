"""A clip whose meshes are known: a demo portrait that moves to the right and opens its mouth, prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from portraits import portrait

from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.tracking import Track, motion_from_track
from shared.video_writer import VideoWriter

FRAMES, CUT, SIZE = 24, 16, 256


def write_clip(root: Path) -> Path:
    """Write `clips`, of one video, and `prepared`; after the cut its picture is upside down. Returns the folder."""
    model = load_bundled()
    for name in ("clips", "prepared/motions", "prepared/tracks"):
        (root / name).mkdir(parents=True)
    image, landmarks = portrait("portrait_woman", SIZE)
    fit = PhotoFit.from_landmarks(image, landmarks, model)
    beat = np.sin(np.arange(FRAMES) / 2)[:, None] ** 2
    expression = fit.expression + 3 * beat * fit.model.extra["open"]
    pose = [np.repeat(one[None], FRAMES, 0) for one in (fit.rotation, fit.translation)]
    meshes = fit.vertices_px(expression, *pose).astype(np.float32)
    meshes[..., 0] += np.arange(FRAMES)[:, None]
    with VideoWriter(root / "clips" / "woman.mp4", (SIZE, SIZE)) as video:
        for index in range(FRAMES):
            frame = np.roll(image, index, axis=1)
            video.write(np.ascontiguousarray(frame if index < CUT else frame[::-1]))
    track = Track.from_frames(list(meshes))
    motion_from_track(model, track, source="woman").save(root / "prepared" / "motions" / "woman.npz")
    crop = [track.crop.center_x, track.crop.center_y, track.crop.side]
    np.savez(root / "prepared/tracks/woman.npz", landmarks=meshes, confidence=track.confidence, crop=crop)
    index = ["name,file,person,split,face_px", "woman,woman.mp4,woman,train,200"]
    (root / "prepared" / "index.csv").write_text("\n".join(index) + "\n")
    return root
