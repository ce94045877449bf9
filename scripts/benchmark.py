"""How long each stage takes and how much memory: a Markdown table for short and long speech, each in its own process.

    python scripts/benchmark.py [--seconds 10 120] [--photo PHOTO] [--weights bundled]

Seconds per frame are wall-clock on whatever else the machine does. "total" is the whole of `fd2talk generate` after
start-up, where warping, encoding and writing overlap; "warp" and "encode" are measured by themselves on a hundred
frames. Peak memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEMO = Path(__file__).parent.parent / "assets" / "demo"
SAMPLE_FRAMES = 100
ROWS = {
    "start_up": "start-up (process start to both stages loaded), s",
    "fit": "photo: find and fit the face, s",
    "encoder": "speech encoder, s/frame",
    "transformers": "expression and pose transformers, eyes, s/frame",
    "stage_one": "**stage one, s/frame**",
    "warp": "warp alone, s/frame",
    "encode": "encode alone, s/frame",
    "total": "**total, s/frame**",
    "processor": "total, processor seconds (all cores) per frame",
    "peak": "peak memory, GB",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 120.0])
    parser.add_argument("--photo", default=str(DEMO / "portrait_woman.jpg"))
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options.photo, options.weights, options.started)))
        return
    columns = {}
    for seconds in options.seconds:
        arguments = ["--one", seconds, "--photo", options.photo, "--weights", options.weights, "--started", time.time()]
        done = subprocess.run([sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
        columns[seconds] = json.loads(done.stdout.splitlines()[-1])
    print("| |" + "|".join(f" {seconds:g} s of speech " for seconds in columns) + "|")
    print("|---|" + "---|" * len(columns))
    for key, label in ROWS.items():
        print(f"| {label} |" + "|".join(f" {figures[key]:.4g} " for figures in columns.values()) + "|")


def measure(seconds: float, photo: str, weights: str, started: float) -> dict[str, float]:
    import numpy as np

    from fd2talk.pipeline import TalkingHeadPipeline
    from shared.media import SAMPLE_RATE, VideoWriter, read_audio, read_image

    pipeline = TalkingHeadPipeline.from_pretrained(weights)
    figures = {"start_up": time.time() - started}
    speech = np.concatenate([read_audio(path) for path in sorted(DEMO.glob("*.wav"))])
    audio = np.resize(speech, round(seconds * SAMPLE_RATE))
    encoder, spent = pipeline.speech_to_motion.encoder, []

    class Timed:
        def __call__(self, *arguments):
            before = time.perf_counter()
            result = encoder(*arguments)
            spent.append(time.perf_counter() - before)
            return result

        def __getattr__(self, name):
            return getattr(encoder, name)

    pipeline.speech_to_motion.encoder = Timed()
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
        before = time.perf_counter()
        rendered = list(pipeline.render(fitted, sample, relative=False, workers=1))
        figures["warp"] = (time.perf_counter() - before) / len(rendered)
        before = time.perf_counter()
        with VideoWriter(Path(folder) / "sample.mp4", first.shape[1::-1]) as writer:
            for frame in rendered:
                writer.write(frame)
        figures["encode"] = (time.perf_counter() - before) / len(rendered)
    figures["encoder"] = sum(spent) / count
    figures["stage_one"] = stage_one / count
    figures["transformers"] = (stage_one - sum(spent)) / count
    figures["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return figures


if __name__ == "__main__":
    main()
