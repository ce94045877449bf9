"""The pictures of the project page, from real output: strip.jpg, demo.mp4 and demo.webp of the bundled portraits.

python scripts/make_media.py docs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
from demo import demo_speech
from PIL import Image

from shared.face_model.measures import lip_gap
from shared.media import FPS, VideoWriter, read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

PORTRAITS = ("portrait_woman", "portrait_man", "portrait_woman_2", "portrait_man_2")
CELL, FRAMES = 220, 7  # of the strip
SIDE = 320  # of one portrait in the video
SIZES = {"demo.mp4": 1.5e6, "demo.webp": 2e6}  # bytes at most
EVERY = 2  # frames of the video for one of the animation
QUALITY = 72  # of the animation


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    motions, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    audio = demo_speech("0920")
    rows, videos = [], []
    for seed, name in enumerate(PORTRAITS):
        photo = PhotoFit.fit(read_image(bundled(f"demo/{name}.jpg")), motions.face_model)
        motion = motions(audio, photo=photo, seed=seed)
        gap = lip_gap(photo.vertices(motion.expression))
        # Evenly spaced between the most closed and the widest mouth, in temporal order.
        numbers = np.sort(np.argsort(gap)[np.linspace(0, len(gap) - 1, FRAMES).astype(int)])
        frames = [resized(frame, SIDE) for frame in render(photo, motion, full=False)]
        rows.append(np.hstack([resized(image, CELL) for image in (photo.image, *(frames[i] for i in numbers))]))
        videos.append(frames)
    Image.fromarray(np.vstack(rows)).save(folder / "strip.jpg", quality=88)
    joined = list(in_a_row(videos))
    with VideoWriter(folder / "demo.mp4", joined[0].shape[1::-1], audio=audio, overwrite=True) as writer:
        for frame in joined:
            writer.write(frame)
    first, *rest = (Image.fromarray(frame) for frame in joined[::EVERY])
    animation = {"append_images": rest, "save_all": True, "loop": 0, "duration": 1000 * EVERY // FPS}
    first.save(folder / "demo.webp", quality=QUALITY, method=4, **animation)
    for name, limit in SIZES.items():
        if (size := (folder / name).stat().st_size) > limit:
            raise click.ClickException(f"{name} has {size} bytes, more than {limit:.0f}")


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square image reduced to a side in pixels."""
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def in_a_row(videos: list[list[np.ndarray]]) -> Iterator[np.ndarray]:
    """The frames of several videos of one length side by side."""
    for frames in zip(*videos):
        yield np.hstack(frames)


if __name__ == "__main__":
    main()
