"""Time and memory of `fd2talk evaluate` for 100 pairs of ten seconds: mesh and image metrics.

    python scripts/benchmark_evaluation.py [--pairs 100] [--seconds 10] [--workers 2]

The generated clips are two samples of the bundled portrait (two seeds, motion and video), the references a third one,
under as many names as there are pairs; measured is every metric that needs no weights except the bundled ones. Memory
is the sum of the proportional set sizes of all processes, sampled twice a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click
import cv2
import numpy as np
import psutil
from demo import demo_speech
from markdown_tables import print_head, print_row

from fd2talk.pipeline import TalkingHeadPipeline
from shared.media import SAMPLE_RATE, VideoWriter, read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled

SIDE = 256  # pixels
METRICS = "sync_motion,psnr,psnr_face,psnr_mouth,ssim,ssim_face,ssim_mouth,sharpness,flicker,head,mesh"


@click.command(help=__doc__)
@click.option("--pairs", default=100, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--workers", default=2, show_default=True)
def main(pairs: int, seconds: float, workers: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        frames = _generate(folder, seconds)
        for number in range(pairs):
            for side, seed in (("generated", number % 2), ("reference", 2)):
                (folder / side).mkdir(exist_ok=True)
                for suffix in (".mp4", ".npz"):
                    os.link(folder / f"{seed}{suffix}", folder / side / f"clip{number:03}{suffix}")
        clips = [folder / "generated", "--reference", folder / "reference", "-o", folder / "report"]
        command = [sys.executable, "-m", "fd2talk", "evaluate", *clips, "--metrics", METRICS, "--workers", workers]
        duration, peak = _run([*map(str, command)])
    print_head([f"pairs of {frames} frames (256 x 256)", "processes", "minutes", "peak memory, GiB"])
    print_row([pairs, workers, f"{duration / 60:.1f}", f"{peak / 2**30:.2f}"])


def _generate(folder: Path, seconds: float) -> int:
    """Write three samples, seed.mp4 and seed.npz; returns their number of frames."""
    pipeline = TalkingHeadPipeline.from_pretrained(renderer="geometry")
    speech = np.resize(demo_speech(), round(seconds * SAMPLE_RATE))
    photo = PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")))
    for seed in range(3):
        result = pipeline(photo, speech, seed=seed, full=False)
        with VideoWriter(folder / f"{seed}.mp4", (SIDE, SIDE), audio=speech) as writer:
            for frame in result.frames:
                writer.write(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        result.motion.save(folder / f"{seed}.npz")
    return len(result.motion)


def _run(command: list[str]) -> tuple[float, int]:
    """Run a command; returns seconds, and the peak memory in bytes of the process and its children together."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        used = 0
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            with suppress(psutil.Error):
                used += each.memory_full_info().pss
        peak = max(peak, used)
        time.sleep(0.5)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - began, peak


if __name__ == "__main__":
    main()
