"""Time and memory of each stage: a Markdown table for short and long speech, each measured in its own process.

    python scripts/benchmark.py [--seconds 10 120] [--renderer geometry diffusion] [--photo PHOTO] [--weights bundled]

Seconds per frame are wall-clock time, with whatever else the machine does. "total" is the whole of `fd2talk generate`
after start-up, where warp, networks, encoding and writing overlap; the renderer's stages and "encode" are measured one
by one on a hundred frames, networks with as many threads as torch takes. GFLOP are two for each multiply-add, of the
renderer's networks. Peak memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from markdown_tables import print_head, print_row

DEMO = Path(__file__).parent.parent / "assets" / "demo"
SAMPLE_FRAMES = 100
ROWS = {
    "start_up": "start-up (process start to both stages loaded), s",
    "fit": "photo: find and fit the face, s",
    "encoder": "speech encoder, s/frame",
    "transformers": "expression and pose transformers, eyes, s/frame",
    "stage_one": "**stage one, s/frame**",
    "warp": "warp alone, s/frame",
    "maps": "face crop and conditioning maps, s/frame",
    "unet": "UNet, s/frame",
    "decode": "decoder, s/frame",
    "paste": "paste, s/frame",
    "paint": "UNet to paste with all between, s/frame",
    "encode": "encode alone, s/frame",
    "total": "**total, s/frame**",
    "processor": "total, processor seconds (all cores) per frame",
    "peak": "peak memory, GB",
    "gflop": "renderer's networks, GFLOP/frame",
    "parameters": "renderer's networks, million parameters",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 120.0])
    parser.add_argument("--renderer", nargs="+", default=["geometry", "diffusion"])
    parser.add_argument("--photo", default=str(DEMO / "portrait_woman.jpg"))
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options.photo, options.weights, options.renderer[0], options.started)))
        return
    columns = {}
    for renderer in options.renderer:
        for seconds in options.seconds:
            settings = ["--photo", options.photo, "--weights", options.weights, "--renderer", renderer]
            command = [sys.executable, __file__, "--one", seconds, *settings, "--started", time.time()]
            done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
            columns[f"{renderer}, {seconds:g} s of speech"] = json.loads(done.stdout.splitlines()[-1])
    print_head(["", *columns])
    for key, label in ROWS.items():
        print_row([label, *(f"{values[key]:.4g}" if key in values else "" for values in columns.values())])


def measure(seconds: float, photo: str, weights: str, renderer: str, started: float) -> dict[str, float]:
    import numpy as np

    from fd2talk.pipeline import TalkingHeadPipeline
    from shared.media import SAMPLE_RATE, read_audio, read_image
    from shared.photo_fit import PhotoFit

    pipeline = TalkingHeadPipeline.from_pretrained(weights, renderer=renderer)
    values = {"start_up": time.time() - started}
    recordings = [read_audio(path) for path in sorted(DEMO.glob("*.wav"))]
    audio = np.resize(np.concatenate(recordings), round(seconds * SAMPLE_RATE))
    clock, processor = time.perf_counter(), time.process_time()
    fitted = PhotoFit.fit(read_image(photo))
    values["fit"] = time.perf_counter() - clock
    with timed(pipeline.speech_to_motion.frontend, "encoder") as encoder:
        before = time.perf_counter()
        result = pipeline(fitted, audio)
        stage_one = time.perf_counter() - before
    count = len(result.motion)
    write_video(iter(result.frames), audio)
    values["total"] = (time.perf_counter() - clock) / count
    values["processor"] = (time.process_time() - processor) / count
    sample = result.motion.slice(0, min(SAMPLE_FRAMES, count))
    rendered = list(pipeline.render(fitted, sample, relative=False))
    before = time.perf_counter()
    write_video(iter(rendered), None)
    values["encode"] = (time.perf_counter() - before) / len(rendered)
    values["encoder"] = encoder.spent / count
    values["stage_one"] = stage_one / count
    values["transformers"] = (stage_one - encoder.spent) / count
    values["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return values | render_stages(pipeline.render, fitted, sample)


def write_video(frames: Iterator[Any], audio: Any) -> None:
    """Encode frames to a temporary file."""
    from shared.media import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        first = next(frames)
        with VideoWriter(Path(folder) / "video.mp4", first.shape[1::-1], audio=audio) as writer:
            writer.write(first)
            for frame in frames:
                writer.write(frame)


@contextmanager
def timed(owner: Any, name: str) -> Iterator[SimpleNamespace]:
    """Add up in `spent` the seconds of calls of a function, method or callable attribute of `owner` in the block."""
    called, watch = getattr(owner, name), SimpleNamespace(spent=0.0)

    def wrapper(*arguments: Any, **options: Any) -> Any:
        before = time.perf_counter()
        result = called(*arguments, **options)
        watch.spent += time.perf_counter() - before
        return result

    setattr(owner, name, wrapper)
    try:
        yield watch
    finally:
        setattr(owner, name, called)


def render_stages(render: Any, fitted: Any, motion: Any) -> dict[str, float]:
    """Time the renderer's stages one after the other in one thread; photos of at most 1280 pixels."""
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from stage2_render.diffusion.face_crop import FaceCrop
    from stage2_render.diffusion.renderer import BATCH_SIZE, DiffusionRenderer
    from stage2_render.warp.mesh_warp import MeshWarp

    targets = fitted.vertices_px(motion.expression, motion.rotation, motion.translation)
    if render.networks is None:
        warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
        before = time.perf_counter()
        for target in targets:
            warp(target)
        return {"warp": (time.perf_counter() - before) / len(targets)}
    networks, renderer = render.networks, DiffusionRenderer(fitted, render.networks)
    coefficients = np.concatenate([motion.expression, motion.rotation, motion.translation], 1).astype(np.float32)
    config = networks.unet.config
    noise = torch.zeros(1, config.latent_channels, config.size, config.size).expand(BATCH_SIZE, -1, -1, -1)
    with (
        timed(MeshWarp, "warp") as warp,
        timed(renderer, "prepare") as prepare,
        timed(networks.unet, "forward") as unet,
        timed(networks.autoencoder, "decode") as decode,
        timed(FaceCrop, "lay") as paste,
        timed(renderer, "paint") as paint,
    ):
        count = len(targets) - len(targets) % BATCH_SIZE
        for start in range(0, count, BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            renderer.paint([renderer.prepare(*item) for item in zip(targets[part], coefficients[part])], noise)
    with FlopCounterMode(display=False) as counter:
        renderer.paint([renderer.prepare(targets[0], coefficients[0])], noise[:1])
    stages = {"warp": warp, "unet": unet, "decode": decode, "paste": paste, "paint": paint}
    return {name: stage.spent / count for name, stage in stages.items()} | {
        "maps": (prepare.spent - warp.spent) / count,
        "gflop": counter.get_total_flops() / 1e9,
        "parameters": sum(p.numel() for p in networks.parameters()) / 1e6,
    }


if __name__ == "__main__":
    main()
