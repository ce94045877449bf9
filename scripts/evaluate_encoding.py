"""What encoding does to moving skin: sharpness that is left, size and time, by quality.

    python scripts/evaluate_encoding.py [--size 450] [--crf 16 --crf 18]

The demo portraits, reduced to `--size` pixels, speak a bundled recording; their frames are encoded and decoded again.
Sharpness: root mean square of the Laplacian of forehead and cheeks after over before, mean over every third frame and
the portraits. Size: over that of the first quality given. Prints Markdown.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from demo import demo_speech
from evaluate_sharpness import part_masks
from markdown_tables import print_head, print_row
from tqdm import tqdm

from shared.media import FPS, read_image, read_video
from shared.metrics.image import sharpness
from shared.photo_fit import PhotoFit
from shared.video_writer import CRF, VideoWriter
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

_STEP = 3


@click.command(help=__doc__)
@click.option("--size", "sizes", multiple=True, type=click.IntRange(64), default=(450, 900), show_default=True)
@click.option("--crf", "qualities", multiple=True, type=click.IntRange(0, 51), default=(CRF, 14, 18, 20))
@click.option("--renderer", type=click.Choice(["geometry", "repair"]), default="geometry", show_default=True)
def main(sizes, qualities, renderer) -> None:
    torch.set_num_threads(1)
    generate, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained(renderer=renderer)
    print_head(["size", "CRF", "sharpness of skin", "size of the file", "kB a second"])
    for size in sizes:
        found = defaultdict(list)
        for path in tqdm(sorted(bundled("demo").glob("*.jpg")), leave=False):
            image = cv2.resize(read_image(path), (size, size), interpolation=cv2.INTER_AREA)
            photo = PhotoFit.fit(image, generate.face_model)
            motion = generate(demo_speech(), photo=photo)
            frames = list(render(photo, motion, full=True))
            meshes = photo.vertices_px(motion.expression, motion.rotation, motion.translation)
            masks = [part_masks(mesh, frames[0].shape[:2])["skin"] for mesh in meshes[::_STEP]]
            for crf in qualities:
                found[crf].append(encoded(frames, masks, crf))
        first = np.mean([weight for _, weight in found[qualities[0]]])
        for crf, values in found.items():
            kept, weight = np.mean(values, axis=0)
            print_row([size, crf, f"{kept:.2f}", f"{weight / first:.2f}", f"{weight / 1000:.0f}"])


def encoded(frames: list[np.ndarray], masks: list[np.ndarray], crf: int) -> tuple[float, float]:
    """Sharpness that is left within masks [H, W] of every third frame, and bytes a second."""
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with VideoWriter(path, (width, height), crf=crf) as writer:
            for frame in frames:
                writer.write(frame)
        size, back = path.stat().st_size, list(read_video(path))
    pairs = zip(frames[::_STEP], back[::_STEP], masks)
    kept = [sharpness(after, mask) / sharpness(before, mask) for before, after, mask in pairs]
    return float(np.mean(kept)), size * FPS / len(frames)


if __name__ == "__main__":
    main()
