"""The README's strip of frames: the bundled portraits speaking, from real output.

python scripts/make_strip.py docs/strip.jpg
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from demo import demo_speech
from PIL import Image

from shared.face_model.measures import lip_gap
from shared.media import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

PORTRAITS = ("portrait_woman", "portrait_man", "portrait_woman_2", "portrait_man_2")
CELL, FRAMES = 220, 7


def main() -> None:
    motions, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    audio, rows = demo_speech("0920"), []
    for seed, name in enumerate(PORTRAITS):
        photo = PhotoFit.fit(read_image(bundled(f"demo/{name}.jpg")), motions.face_model)
        motion = motions(audio, photo=photo, seed=seed)
        gap = lip_gap(photo.vertices(motion.expression))
        # Evenly spaced between the most closed and the widest mouth, in temporal order.
        numbers = np.sort(np.argsort(gap)[np.linspace(0, len(gap) - 1, FRAMES).astype(int)])
        frames = list(render(photo, motion, full=False))
        pictures = [photo.image, *(frames[i] for i in numbers)]
        rows.append(np.hstack([cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_AREA) for image in pictures]))
    Image.fromarray(np.vstack(rows)).save(sys.argv[1], quality=88)


if __name__ == "__main__":
    main()
