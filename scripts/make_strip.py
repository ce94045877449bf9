"""The README's strip of frames: the bundled portraits speaking, from real output.

python scripts/make_strip.py docs/strip.jpg
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from PIL import Image

from shared.face_model.measures import lip_gap
from shared.media import read_audio, read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

PORTRAITS = ("portrait_woman", "portrait_man", "portrait_woman_2", "portrait_man_2")
SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0920.wav"
CELL, SHOWN = 220, 7


def main() -> None:
    motions, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    audio = read_audio(bundled(SPEECH))
    rows = []
    for seed, name in enumerate(PORTRAITS):
        photo = PhotoFit.fit(read_image(bundled(f"demo/{name}.jpg")), motions.face_model)
        motion = motions(audio, photo=photo, seed=seed)
        gap = lip_gap(photo.vertices(motion.expression))
        # Frames from the most closed to the widest open mouth, in the order in which they come.
        picks = np.sort(np.argsort(gap)[np.linspace(0, len(gap) - 1, SHOWN).astype(int)])
        frames = list(render(photo, motion, full=False))
        cells = [cv2.resize(frames[i], (CELL, CELL), interpolation=cv2.INTER_AREA) for i in picks]
        source = cv2.resize(photo.image, (CELL, CELL), interpolation=cv2.INTER_AREA)
        rows.append(np.hstack([source, *cells]))
    Image.fromarray(np.vstack(rows)).save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
