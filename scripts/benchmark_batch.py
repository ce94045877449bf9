"""Speed of `fd2talk batch`: one worker, two workers, and one worker with two threads.

    python scripts/benchmark_batch.py [--rows 8]

The bundled portraits and recordings, at the default size. Wall-clock time of the whole command, start of Python and
loading of models included; speed is seconds of video a second. Let nothing else run meanwhile. Each worker's memory is
the largest resident set of the worker that had the most.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import psutil
from markdown_tables import print_head, print_row

from shared.weights import bundled

_TEAMS = ((1, 1), (2, 1), (1, 2))  # workers, threads of each


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(1), default=8, show_default=True, help="Videos of each run.")
def main(rows: int) -> None:
    print_head(["workers", "threads of each", "time, s", "x real time", "over one worker", "memory a worker, MiB"])
    first = 0.0
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder) / "manifest.csv", rows)
        for workers, threads in _TEAMS:
            out = Path(folder) / f"{workers}x{threads}"
            seconds, memory = _run(manifest, out, workers, threads)
            first = first or seconds
            with open(out / "report.csv", newline="", encoding="utf-8-sig") as file:
                made = [float(row["video_seconds"]) for row in csv.DictReader(file) if row["state"] == "made"]
            assert len(made) == rows
            speed = f"{sum(made) / seconds:.2f}"
            print_row([workers, threads, f"{seconds:.1f}", speed, f"{first / seconds:.2f}", f"{memory / 2**20:.0f}"])


def _manifest(path: Path, rows: int) -> Path:
    """Equal rows, so that no worker waits for the other in the end: the portraits in turn, and one recording."""
    photos = sorted(bundled("demo").glob("*.jpg"))
    sound = bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav")
    lines = [f"{photos[index % len(photos)]},{sound},{index}" for index in range(rows)]
    path.write_text("\n".join(["photo,audio,seed", *lines]) + "\n", encoding="utf-8")
    return path


def _run(manifest: Path, out: Path, workers: int, threads: int) -> tuple[float, int]:
    """Run the command, and return the seconds that it took, and the bytes of its largest worker."""
    command = [sys.executable, "-m", "fd2talk", "batch", str(manifest), "-o", str(out)]
    command += ["--workers", str(workers), "--threads", str(threads)]
    largest = 0
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def watch() -> None:
        nonlocal largest
        while process.poll() is None:
            try:
                sizes = [child.memory_info().rss for child in psutil.Process(process.pid).children(recursive=True)]
                largest = max(largest, *sizes, 0)
            except psutil.Error:
                pass
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - begun
    watcher.join()
    if code:
        sys.exit(f"fd2talk batch ended with {code}")
    return seconds, largest


if __name__ == "__main__":
    main()
