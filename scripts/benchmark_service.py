"""Measure `fd2talk serve` on this computer: the figures of docs/service.md.

    python scripts/benchmark_service.py out/service.json
    python scripts/benchmark_service.py out/service2.json --workers 2

Starts a service with the real models, and one with a stand-in for them, and asks both as clients do.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import psutil

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "assets" / "demo"
SPEECH = DEMO / "sense_and_sensibility_01_austen_64kb-0880.wav"


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--videos", default=20, show_default=True, help="Videos that wait at once, for throughput and memory.")
@click.option("--workers", default=1, show_default=True, help="Processes that make videos.")
def main(output: Path, videos: int, workers: int) -> None:
    """Write the figures to OUTPUT, a JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"real": _real(Path(folder), videos, workers), "answering": _answering(Path(folder), workers)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(found, indent=2))


@contextmanager
def _served(data: Path, *options: str) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    command = [sys.executable, "-m", "fd2talk", "serve", "--data", str(data), "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://[\d.]+:\d+", address), address
            with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
                yield client, psutil.Process(process.pid)
        finally:
            process.terminate()


def _ask(client: httpx.Client, photo: bytes, sound: bytes, **options: str) -> str:
    files = {"photo": ("photo.jpg", photo), "audio": ("speech.wav", sound)}
    answer = client.post("/v1/videos", files=files, data=options)
    answer.raise_for_status()
    return str(answer.json()["id"])


def _finished(client: httpx.Client, name: str) -> dict[str, Any]:
    while True:
        video: dict[str, Any] = client.get(f"/v1/videos/{name}").raise_for_status().json()
        if video["status"] in ("completed", "failed"):
            assert video["status"] == "completed", video
            return video
        time.sleep(0.05)


def _sound(folder: Path, seconds: float) -> bytes:
    import wave

    path = folder / f"{seconds:g}.wav"
    with wave.open(str(SPEECH)) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(round(seconds * source.getframerate())))
    return path.read_bytes()


def _memory(process: psutil.Process) -> dict[str, float]:
    """MB that each process has to itself (Linux: USS)."""
    workers = process.children(recursive=True)
    return {
        "answers": process.memory_full_info().uss / 2**20,
        "makes videos": sum(worker.memory_full_info().uss for worker in workers) / 2**20,
    }


def _processor(process: psutil.Process) -> float:
    """Seconds of processor time of those who make videos, which depend little on what else the computer does."""
    return sum(sum(worker.cpu_times()[:2]) for worker in process.children(recursive=True))


def _real(folder: Path, videos: int, workers: int) -> dict[str, Any]:
    photo, sound = (DEMO / "portrait_woman.jpg").read_bytes(), _sound(folder, 3.0)
    found: dict[str, Any] = {"workers": workers}
    with _served(folder / "real", "--workers", str(workers)) as (client, process):
        found["memory at the start, MB"] = _memory(process)
        begun = time.monotonic()
        names = [_ask(client, photo, sound, max_size="512") for _ in range(workers)]  # each process loads the models
        for name in names:
            _finished(client, name)
        found["first of each process, 512, s"] = time.monotonic() - begun
        for label, options in {
            "one alone, 512, s": {"max_size": "512", "seed": "1"},
            "whole photo, 900, s": {"seed": "2"},
        }.items():
            begun = time.monotonic()
            _finished(client, _ask(client, photo, sound, **options))
            found[label] = time.monotonic() - begun
        answers: list[float] = []
        stop = threading.Event()
        watching = threading.Thread(target=_watch, args=(client.base_url, answers, stop))
        watching.start()
        begun, used = time.monotonic(), _processor(process)
        names = [_ask(client, photo, sound, max_size="512", seed=str(seed)) for seed in range(videos)]
        memory = []
        for name in names:
            _finished(client, name)
            memory.append(_memory(process)["makes videos"])
        seconds, used = time.monotonic() - begun, _processor(process) - used
        stop.set()
        watching.join()
        found["processor time of one, 512, s"] = used / videos
        found["load of the computer"] = os.getloadavg()[0]
        found["videos of 3 s a minute, 512"] = 60 * videos / seconds
        found["seconds of video a second, 512"] = 3 * videos / seconds
        found["answers meanwhile, ms"] = _spread(answers)
        found["memory after each, MB"] = [memory[0], memory[len(memory) // 2], memory[-1]]
        found["memory at the end, MB"] = _memory(process)
    return found


def _answering(folder: Path, workers: int) -> dict[str, Any]:
    """Without the work of the models."""
    options = ("--engine", "service_engine:StubEngine", "--max-waiting", "100000", "--workers", str(workers))
    found: dict[str, Any] = {}
    with _served(folder / "stub", *options) as (client, process):
        photo, sound = json.dumps({"seconds": 0}).encode(), os.urandom(200_000)
        name = _ask(client, photo, sound)
        _finished(client, name)
        found["GET of a video, a second"] = _rate(lambda: client.get(f"/v1/videos/{name}"), 300)
        with ThreadPoolExecutor(50) as pool:
            begun = time.monotonic()
            names = [*pool.map(lambda _: _ask(client, photo, sound), range(50))]
            found["50 requests at once, all answered, s"] = time.monotonic() - begun
        for one in names:
            _finished(client, one)
        found["50 requests at once, all made by the stand-in, s"] = time.monotonic() - begun
        with ThreadPoolExecutor(50) as pool:
            large = os.urandom(20 * 2**20)
            before = process.memory_info().rss
            most = [before]
            stop = threading.Event()

            def watch() -> None:
                while not stop.wait(0.02):
                    most.append(process.memory_info().rss)

            watching = threading.Thread(target=watch)
            watching.start()
            begun = time.monotonic()
            [*pool.map(lambda _: _ask(client, photo, large), range(50))]
            found["50 uploads of 20 MB at once, s"] = time.monotonic() - begun
            stop.set()
            watching.join()
        found["memory that this takes, MB"] = (max(most) - before) / 2**20
    return found


def _watch(address: httpx.URL, answers: list[float], stop: threading.Event) -> None:
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        while not stop.wait(0.1):
            begun = time.monotonic()
            client.get("/v1/videos").raise_for_status()
            answers.append(1000 * (time.monotonic() - begun))


def _rate(ask: Callable[[], Any], times: int) -> float:
    begun = time.monotonic()
    for _ in range(times):
        ask()
    return times / (time.monotonic() - begun)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered), "95 %": ordered[round(0.95 * (len(ordered) - 1))], "longest": ordered[-1]
    }  # fmt: skip


if __name__ == "__main__":
    main()
