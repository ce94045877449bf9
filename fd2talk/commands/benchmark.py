"""`fd2talk benchmark`: time and memory of generating a video here, stage by stage."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fd2talk.evaluation.metrics.cost import peak_memory
from fd2talk.output import write_video
from fd2talk.processes import in_processes
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import Fd2TalkError
from shared.media import FPS, SAMPLE_RATE, read_audio, read_image
from shared.photo_fit import PhotoFit
from shared.stages import Times, now, recorded
from shared.weights import bundled

SIZES = (256, 512, 900)
"""Sides of the frames in pixels, if none is given."""

_SAMPLE = 60  # frames that are rendered once more, one stage after the other
_REAL_TIME = 1000 / FPS  # ms a frame


@dataclass(frozen=True)
class Measured:
    """Figures of one size.

    Args:
        size: side of the frames in pixels.
        frames: how many were generated.
        precision: of the renderer's networks; "" without networks.
        loading: seconds from the start of the process until both stages are loaded.
        photo: seconds to find and fit the face.
        motion: seconds of stage one for the whole recording.
        first_frame: seconds from there to the first frame.
        stages: of each in ms a frame, wall-clock and processor time, measured one after the other: the median for warp
            and networks, else the mean.
        rendering: of the same frames, all stages of the renderer.
        together: the same of all frames after the first, rendered and encoded as `fd2talk generate` does.
        peak_memory: MiB.
    """

    size: int
    frames: int
    precision: str
    loading: float
    photo: float
    motion: float
    first_frame: float
    stages: dict[str, Times]
    rendering: Times
    together: Times
    peak_memory: float


def benchmark(
    *,
    sizes: tuple[int, ...],
    renderer: str,
    precision: str,
    seconds: float,
    weights: str,
    device: str,
    as_json: bool,
) -> None:
    """Print a table; each size is measured in a process of its own. The arguments are the options of the command."""
    require_device(device)
    results: list[Measured] = []
    for size in sizes or SIZES:
        job = (size, renderer, precision, seconds, weights, device, time.time())
        what, threads = f"measuring at {size} x {size}", torch.get_num_threads()
        (found,) = in_processes(_attempt, [job], 1, what, "run", start=torch.set_num_threads, given=(threads,))
        if not isinstance(found, Measured):
            raise found or Fd2TalkError("nothing was measured")
        results.append(found)
    machine = {**_machine(device), "renderer": renderer, "device": device, "seconds": seconds}
    if as_json:
        rows = [asdict(one) | {"real_time": one.together.wall <= _REAL_TIME} for one in results]
        announce(json.dumps(machine | {"sizes": rows}, indent=2))
    else:
        announce(_table(machine, results))


def _attempt(*job: Any) -> Measured | Fd2TalkError:
    """What `measure` returns or raises: an error is reported by the process that waits for it."""
    try:
        return measure(*job)
    except Fd2TalkError as error:
        return error


def measure(
    size: int, renderer: str, precision: str, seconds: float, weights: str, device: str, started: float
) -> Measured:
    """Generate a video of the demo portrait and take the times.

    Args:
        size: side of the frames in pixels.
        renderer: one of `stage2_render.RENDERERS`.
        precision: one of `stage2_render.PRECISIONS`.
        seconds: of speech.
        weights: `bundled` or a folder.
        device: of the networks, and on CUDA of the whole rendering.
        started: when the process was started, as `time.time()` says.
    """
    from fd2talk.pipeline import TalkingHeadPipeline

    pipeline = TalkingHeadPipeline.from_pretrained(weights, renderer=renderer, device=device, precision=precision)
    loading = time.time() - started
    demo = bundled("demo")
    image = read_image(demo / "portrait_woman.jpg")
    if size > max(image.shape[:2]):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    speech = np.concatenate([read_audio(path) for path in sorted(demo.glob("*.wav"))])
    speech = np.resize(speech, round(seconds * SAMPLE_RATE))
    arrivals = [now()]
    fitted = PhotoFit.fit(image, pipeline.render.model)
    arrivals.append(now())
    with recorded() as hearing:
        talk = pipeline(fitted, speech, max_size=size)
    arrivals.append(now())
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "all.mp4", _noted(talk.frames, arrivals), audio=speech)
        end, memory = now(), peak_memory()
        sample = talk.motion.slice(0, min(_SAMPLE, len(talk)))
        # Without threads, so that stages do not overlap.
        rest = pipeline.render(fitted, sample, relative=False, max_size=size, workers=0)
        begun = now()
        with recorded() as rendering:
            frames = list(rest)
        rendered = now()
        write_video(Path(folder) / "sample.mp4", frames)
        encoded = now()
    begin, found, moved, first, *_ = arrivals
    stages = hearing.per_frame()
    stages["motion model and rules"] = (moved - found - hearing.total()) * (1 / len(talk))
    stages |= rendering.per_frame()
    stages["compositing and the rest"] = (rendered - begun - rendering.total()) * (1 / len(frames))
    stages["encoding"] = (encoded - rendered) * (1 / len(frames))
    return Measured(
        size=size,
        frames=len(talk),
        precision=pipeline.render.resolved_precision,
        loading=loading,
        photo=(found - begin).wall,
        motion=(moved - found).wall,
        first_frame=(first - moved).wall,
        stages={name: times * 1000 for name, times in stages.items()},
        rendering=(rendered - begun) * (1000 / len(frames)),
        together=(end - first) * (1000 / max(len(talk) - 1, 1)),
        peak_memory=memory,
    )


def _noted(frames: Iterable[np.ndarray], arrivals: list[Times]) -> Iterator[np.ndarray]:
    """Pass frames on, and note when each arrives."""
    for frame in frames:
        arrivals.append(now())
        yield frame


def _machine(device: str) -> dict[str, Any]:
    """What runs the benchmark."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {}
    return {"processor": _processor(), "cores": os.cpu_count() or 1, "threads": torch.get_num_threads(), **gpu}


def _processor() -> str:
    """The processor's name; on Linux `platform` does not know it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _table(machine: dict[str, Any], results: list[Measured]) -> str:
    """A Markdown table with a column for each size."""
    gpu = f", {machine['gpu']}" if "gpu" in machine else ""
    precision = f", networks in {results[0].precision}" if results[0].precision else ""
    head = (
        f"{machine['processor']}, {machine['cores']} cores{gpu}; renderer {machine['renderer']}{precision}; "
        f"{machine['seconds']:g} s of speech. Wall / processor time."
    )
    names = list(dict.fromkeys(name for one in results for name in one.stages))
    rows = [["", *(f"{one.size} x {one.size}" for one in results)]]
    rows += [[f"{name}, ms a frame", *(_pair(one.stages.get(name)) for one in results)] for name in names]
    rows.append(["**all together, ms a frame**", *(f"**{_pair(one.together)}**" for one in results)])
    rows.append(["rendering alone, frames a second", *(f"{1000 / one.rendering.wall:.0f}" for one in results)])
    rows.append(["real time (40 ms a frame)", *(_real_time(one.together) for one in results)])
    for label, field in (
        ("loading", "loading"),
        ("finding and fitting the face", "photo"),
        ("motion of the recording", "motion"),
        ("first frame after that", "first_frame"),
    ):
        rows.append([f"{label}, s", *(f"{getattr(one, field):.2f}" for one in results)])
    rows.append(["peak memory, MiB", *(f"{one.peak_memory:.0f}" for one in results)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join([head, "", *(f"| {' | '.join(row)} |" for row in rows)])


def _pair(times: Times | None) -> str:
    return "" if times is None else f"{times.wall:.1f} / {times.processor:.1f}"


def _real_time(together: Times) -> str:
    return f"{'yes' if together.wall <= _REAL_TIME else 'no'}, {_REAL_TIME / together.wall:.1f} x"
