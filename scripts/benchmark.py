"""How long each stage takes and how much memory: a Markdown table for short and long speech, each in its own process.

    python scripts/benchmark.py [--seconds 10 120] [--renderer geometry diffusion] [--photo PHOTO] [--weights bundled]

Seconds per frame are wall-clock on whatever else the machine does. "total" is the whole of `fd2talk generate` after
start-up, where warping, painting, encoding and writing overlap; the renderer's stages and "encode" are measured one by
one on a hundred frames, networks on as many threads as torch takes. GFLOP are two for each multiplication with an
addition, of the renderer's networks. Peak memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parent.parent / "assets" / "demo"
SAMPLE_FRAMES = 100
ROWS = {
    "start_up": "start-up (process start to both stages loaded), s",
    "fit": "photo: find and fit the face, s",
    "encoder": "speech encoder, s/frame",
    "transformers": "expression and pose transformers, eyes, s/frame",
    "stage_one": "**stage one, s/frame**",
    "warp": "warp alone, s/frame",
    "maps": "face crop and guidance maps, s/frame",
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
        figures = measure(options.one, options.photo, options.weights, options.renderer[0], options.started)
        print(json.dumps(figures))
        return
    columns = {}
    for renderer in options.renderer:
        for seconds in options.seconds:
            settings = ["--photo", options.photo, "--weights", options.weights, "--renderer", renderer]
            command = [sys.executable, __file__, "--one", seconds, *settings, "--started", time.time()]
            done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
            columns[f"{renderer}, {seconds:g} s of speech"] = json.loads(done.stdout.splitlines()[-1])
    print("| |" + "|".join(f" {name} " for name in columns) + "|")
    print("|---|" + "---|" * len(columns))
    for key, label in ROWS.items():
        cells = (f"{figures[key]:.4g}" if key in figures else "" for figures in columns.values())
        print(f"| {label} |" + "|".join(f" {cell} " for cell in cells) + "|")


def measure(seconds: float, photo: str, weights: str, renderer: str, started: float) -> dict[str, float]:
    import numpy as np

    from fd2talk.pipeline import TalkingHeadPipeline
    from shared.media import SAMPLE_RATE, VideoWriter, read_audio, read_image

    pipeline = TalkingHeadPipeline.from_pretrained(weights, renderer=renderer)
    figures = {"start_up": time.time() - started}
    speech = np.concatenate([read_audio(path) for path in sorted(DEMO.glob("*.wav"))])
    audio = np.resize(speech, round(seconds * SAMPLE_RATE))
    encoder = Timed(pipeline.speech_to_motion.encoder)
    pipeline.speech_to_motion.encoder = encoder
    clock, processor = time.perf_counter(), time.process_time()
    fitted = pipeline.render.fit(read_image(photo))
    figures["fit"] = time.perf_counter() - clock
    stage_one = time.perf_counter()
    frames = pipeline(fitted, audio)
    stage_one = time.perf_counter() - stage_one
    count = len(pipeline.motion)
    with tempfile.TemporaryDirectory() as folder:
        first = next(frames)
        with VideoWriter(Path(folder) / "all.mp4", first.shape[1::-1], audio=audio) as writer:
            writer.write(first)
            for frame in frames:
                writer.write(frame)
        figures["total"] = (time.perf_counter() - clock) / count
        figures["processor"] = (time.process_time() - processor) / count

        sample = pipeline.motion.slice(0, min(SAMPLE_FRAMES, count))
        rendered = list(pipeline.render(fitted, sample, relative=False))
        before = time.perf_counter()
        with VideoWriter(Path(folder) / "sample.mp4", first.shape[1::-1]) as writer:
            for frame in rendered:
                writer.write(frame)
        figures["encode"] = (time.perf_counter() - before) / len(rendered)
    figures["encoder"] = encoder.spent / count
    figures["stage_one"] = stage_one / count
    figures["transformers"] = (stage_one - encoder.spent) / count
    figures["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return figures | render_stages(pipeline.render, fitted, sample)


class Timed:
    """Stands for an object or a function; `spent` are the seconds that calls took."""

    def __init__(self, called: Any) -> None:
        self._called, self.spent = called, 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        before = time.perf_counter()
        result = self._called(*arguments, **options)
        self.spent += time.perf_counter() - before
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._called, name)


@contextmanager
def timed(owner: Any, name: str) -> Iterator[Timed]:
    """Time a function or method, an attribute of `owner`, while the block runs."""
    function: Callable = getattr(owner, name)
    stands = Timed(function)
    # A class passes the object on only to a true function.
    setattr(owner, name, (lambda *a, **k: stands(*a, **k)) if isinstance(owner, type) else stands)
    try:
        yield stands
    finally:
        setattr(owner, name, function)


def render_stages(render: Any, fitted: Any, motion: Any) -> dict[str, float]:
    """The renderer's stages one after the other in one thread; photos of at most 1280 pixels."""
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from stage2_render.diffusion.renderer import renderer as diffusion
    from stage2_render.warp.mesh_warp import MeshWarp

    targets = fitted.vertices_px(motion.expression, motion.rotation, motion.translation)
    if render.networks is None:
        warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
        before = time.perf_counter()
        for target in targets:
            warp(target)
        return {"warp": (time.perf_counter() - before) / len(targets)}
    renderer = diffusion.DiffusionRenderer(fitted, render.networks)
    coefficients = np.concatenate([motion.expression, motion.rotation, motion.translation], 1).astype(np.float32)
    networks, size = render.networks, diffusion.BATCH_SIZE
    shape = (networks.unet.config.latent_channels, networks.unet.config.size, networks.unet.config.size)
    noise = torch.zeros(1, *shape).expand(size, *shape)
    with (
        timed(MeshWarp, "warp") as warp,
        timed(renderer, "prepare") as prepare,
        timed(networks.unet, "forward") as unet,
        timed(networks.autoencoder, "decode") as decode,
        timed(diffusion.FaceCrop, "lay") as paste,
        timed(renderer, "paint") as paint,
    ):
        count = len(targets) - len(targets) % size
        for start in range(0, count, size):
            part = slice(start, start + size)
            batch = [renderer.prepare(*item) for item in zip(targets[part], coefficients[part])]
            renderer.paint(batch, noise)
    with FlopCounterMode(display=False) as counter:
        renderer.paint([renderer.prepare(targets[0], coefficients[0])], noise[:1])
    named = {"warp": warp, "unet": unet, "decode": decode, "paste": paste, "paint": paint}
    figures = {name: stage.spent / count for name, stage in named.items()}
    return figures | {
        "maps": (prepare.spent - warp.spent) / count,
        "gflop": counter.get_total_flops() / 1e9,
        "parameters": sum(p.numel() for p in networks.parameters()) / 1e6,
    }


if __name__ == "__main__":
    main()
