"""JSON for `speakAudio` of TalkingHead (met4citizen), which animates glTF avatars in browsers."""

from __future__ import annotations

import json

import numpy as np

from fd2talk.export.visemes import SILENT, VISEMES, runs
from shared.arkit import NAMES
from shared.motion import Motion

_CALLED = {"ih": "I", "oh": "O", "ou": "U"}


def talking_head_json(motion: Motion, curves: np.ndarray, weights: np.ndarray) -> str:
    """Encode a motion as the animation part of `speakAudio`'s first argument; the caller adds `audio`.

    Times are in milliseconds. An avatar plays `anim` (ARKit's curves, frame by frame) or `visemes`; delete the other.

    Args:
        motion: T frames.
        curves: [T, 52] in the order of `NAMES`.
        weights: of the visemes, [T, 15].
    """
    frame = 1000 / motion.fps
    # Half open is no silence, though `sil` may have the largest of many small weights.
    strongest = np.where(weights[:, 0] > SILENT, 0, 1 + weights[:, 1:].argmax(1))
    spans = [(VISEMES[strongest[start]], start, stop) for start, stop in runs(strongest) if strongest[start]]
    moving = {name: curve for name, curve in zip(NAMES, curves.T) if curve.max() > 0}
    document = {
        "visemes": [_CALLED.get(name, name) for name, _, _ in spans],
        "vtimes": [round(start * frame, 1) for _, start, _ in spans],
        "vdurations": [round((stop - start) * frame, 1) for _, start, stop in spans],
        "anim": {
            "name": "blendshapes",
            "dt": [round(frame, 4)] * len(motion),
            "vs": {name: [round(float(value), 4) for value in curve] for name, curve in moving.items()},
        },
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
