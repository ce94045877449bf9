"""What a random frame costs as a picture and in a film: size and time of 256 x 256 head crops.

    python scripts/scale_pictures.py [VIDEO]

Frames of a video (default: the bundled portraits speaking, docs/demo.mp4), resized to 256 x 256, are stored in each
way; then 300 of them at random are read, one by one, by one thread: as a batch of pairs does. Frames of a film cost
what decoding from the key frame before them costs. Times are of the processor; `tail` is what one read in
twenty exceeds. The mean error is of 255 grey levels. A second table has what a process of N needs for its 12 pairs of a
batch of N x 12, as `FrameSampler` draws them from shards for the bundled UNet.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import click
import cv2
import numpy as np
import torch
from markdown_tables import print_head, print_row

from shared.face_model import load_bundled
from shared.media import read_video
from shared.shards.rows import decode, encode
from shared.training import batches
from stage2_render.face_crop import SIZE
from stage2_render.training.frame_sampler import FrameSampler
from stage2_render.training.frame_set import FramesConfig
from stage2_render.training.picture_shards import ShardedFrameSet, finish_pictures, pictures_folder, write_frames

_READS = 300


@click.command(help=__doc__)
@click.argument("video", default="docs/demo.mp4")
@click.option("--frames", default=500, show_default=True, help="Most frames that are used.")
def main(video: str, frames: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    images = [square(frame) for frame in islice(read_video(video), frames)]
    print_head(["stored as", "KB a frame", "ms a random frame", "tail, ms", "mean error"], f"{len(images)} frames")
    report("raw (.npy)", images, SIZE * SIZE * 3 * len(images), lambda k: images[k].copy())
    for name, quality in (
        ("WebP, lossless", None),
        ("WebP, quality 95", 95),
        ("WebP, quality 90", 90),
        ("WebP, quality 80", 80),
    ):
        files = [encode(image, quality) for image in images]
        report(name, images, sum(map(len, files)), lambda k, files=files: decode(files[k]))
    with tempfile.TemporaryDirectory() as folder:
        for crf, gap in ((12, 1), (12, 12), (12, 50), (18, 12), (18, 50)):
            path = Path(folder) / f"{crf}-{gap}.mp4"
            write_film(path, images, crf, gap)
            film = Film(path)
            name = f"MP4 (H.264, CRF {crf}, key frame every {gap})"
            report(name, images, path.stat().st_size, film.frame)
            film.close()
            report(f"{name}, opened for it", images, path.stat().st_size, lambda k, path=path: opened(path, k))
    report_batches(images)


def square(frame: np.ndarray) -> np.ndarray:
    side = min(frame.shape[:2])
    return cv2.resize(frame[:side, :side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def report(name: str, images: list[np.ndarray], size: int, read: Callable[[int], np.ndarray]) -> None:
    """Read frames at random, and print the row."""
    times, errors = [], []
    for k in np.random.default_rng(0).integers(len(images), size=_READS).tolist():
        begun = time.thread_time()
        found = read(k)
        times.append(1e3 * (time.thread_time() - begun))
        errors.append(np.abs(found.astype(int) - images[k]).mean())
    row = [f"{size / len(images) / 1e3:.1f}", f"{np.mean(times):.2f}", f"{np.quantile(times, 0.95):.2f}"]
    print_row([name, *row, f"{np.mean(errors):.1f}"])


def write_film(path: Path, images: list[np.ndarray], crf: int, gap: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "g": str(gap), "bf": "0"})
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


class Film:
    """An open film whose frames are read by their numbers."""

    def __init__(self, path: Path | io.BytesIO) -> None:
        self._container = av.open(str(path) if isinstance(path, Path) else path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "NONE"

    def frame(self, number: int) -> np.ndarray:
        base, rate = self._stream.time_base, self._stream.average_rate
        wanted = round(number / rate / base)
        self._container.seek(wanted, stream=self._stream)
        for frame in self._container.decode(self._stream):
            if frame.pts >= wanted:
                return frame.to_ndarray(format="rgb24")
        raise IndexError(number)

    def close(self) -> None:
        self._container.close()


def opened(path: Path, number: int) -> np.ndarray:
    film = Film(path)
    try:
        return film.frame(number)
    finally:
        film.close()


def report_batches(images: list[np.ndarray]) -> None:
    """Print what batches of pairs from shards of these frames cost."""
    random, coefficients = np.random.default_rng(0), load_bundled().num_expression + 6
    with tempfile.TemporaryDirectory() as folder:
        config = FramesConfig(frames="", clips="", prepared=folder)
        pictures = pictures_folder(config, folder)
        pictures.mkdir()
        frames = []
        for k, image in enumerate(images):
            facts = {"person": f"p{k // 8}", "take": k // 8, "time": k, "aperture": np.float32(random.random())}
            facts["coefficients"] = random.normal(size=coefficients).astype(np.float32)
            facts["boxes"] = np.tile(np.array([60, 60, 120, 120], np.float32), (3, 1))
            frames.append((image, facts))
        write_frames(pictures / "pictures-00000.parquet", frames, coefficients, 90)
        finish_pictures(config, pictures, [0])
        sampler = FrameSampler(ShardedFrameSet(pictures), (32, 38, 192))
        print_head(
            ["a process of", "ms of the processor for its 12 pairs", "pairs a second"], "UNet, batches from shards"
        )
        for processes in (1, 8, 64):
            count = 10 if processes < 64 else 3
            reading = batches._own.set(slice(0, None, processes))
            sampler.draw(torch.Generator().manual_seed(1), 12 * processes)
            begun = time.process_time()
            for step in range(count):
                sampler.draw(torch.Generator().manual_seed(step), 12 * processes)
            each = (time.process_time() - begun) / count
            batches._own.reset(reading)
            print_row([processes, f"{1e3 * each:.0f}", f"{12 / each:.0f}"])


if __name__ == "__main__":
    main()
