"""How long `fd2talk evaluate` takes for 100 pairs of ten seconds, and how much memory: mesh and image metrics.

    python scripts/benchmark_evaluation.py [--pairs 100] [--seconds 10] [--workers 2]

The made clips are two performances of the bundled portrait (two seeds, motion and video), the real ones a third, under
as many names as there are pairs; what is measured is every metric that needs no weights beyond the bundled ones. Memory
is the sum over all processes of what belongs to each (shared pages divided among them), sampled twice a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np
import psutil

from fd2talk.pipeline import TalkingHeadPipeline
from shared.media import SAMPLE_RATE, VideoWriter, read_audio, read_image
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"
SIDE = 256  # pixels
METRICS = "sync_motion,psnr,psnr_face,psnr_mouth,ssim,ssim_face,ssim_mouth,sharpness,flicker,head,mesh"


@click.command(help=__doc__)
@click.option("--pairs", default=100, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--workers", default=2, show_default=True)
def main(pairs: int, seconds: float, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made, real = Path(folder) / "made", Path(folder) / "real"
        frames = _perform(Path(folder), seconds)
        for number in range(pairs):
            for side, seed in ((made, number % 2), (real, 2)):
                side.mkdir(exist_ok=True)
                for suffix in (".mp4", ".npz"):
                    os.link(Path(folder) / f"{seed}{suffix}", side / f"clip{number:03}{suffix}")
        command = [sys.executable, "-m", "fd2talk", "evaluate", str(made), "--reference", str(real)]
        command += ["--metrics", METRICS, "--workers", str(workers), "-o", str(Path(folder) / "report")]
        took, peak = _watched(command)
    print(f"| pairs of {frames} frames (256 x 256) | processes | minutes | peak memory, GiB |\n|---|---|---|---|")
    print(f"| {pairs} | {workers} | {took / 60:.1f} | {peak / 2**30:.2f} |")


def _perform(folder: Path, seconds: float) -> int:
    """Three performances: seed.mp4 and seed.npz; returns their frames."""
    pipeline = TalkingHeadPipeline(
        MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained(renderer="geometry")
    )
    speech = np.resize(read_audio(bundled(SPEECH)), round(seconds * SAMPLE_RATE))
    photo = pipeline.render.fit(read_image(bundled("demo/portrait_woman.jpg")))
    for seed in range(3):
        with VideoWriter(folder / f"{seed}.mp4", (SIDE, SIDE), audio=speech) as writer:
            for frame in pipeline(photo, speech, seed=seed, full=False):
                writer.write(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        pipeline.motion.save(folder / f"{seed}.npz")
    return len(pipeline.motion)


def _watched(command: list[str]) -> tuple[float, int]:
    """Seconds, and the most bytes that the process and its children held together."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        held = 0
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            try:
                held += each.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, held)
        time.sleep(0.5)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - began, peak


if __name__ == "__main__":
    main()
