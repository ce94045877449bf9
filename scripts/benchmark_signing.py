"""What a C2PA signature costs: bytes, time and memory, of signing and of verifying.

    python scripts/benchmark_signing.py cert.pem key.pem VIDEO.mp4...

Medians of five times each. Memory: by how much the largest resident set of the process grew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from fd2talk.evaluation.metrics.cost import peak_memory
from fd2talk.provenance.manifest import read_manifest
from fd2talk.provenance.signer import Signer

TRIALS = 5


@click.command(help=__doc__)
@click.argument("certificate")
@click.argument("key")
@click.argument("videos", nargs=-1, required=True, type=Path)
def main(certificate: str, key: str, videos: tuple[Path, ...]) -> None:
    first, again = (seconds(lambda: Signer.load(certificate, key)) for _ in range(2))
    print(f"checking certificate and key: {1000 * first:.0f} ms, again {1000 * again:.0f} ms")
    signer = Signer.load(certificate, key)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "signed.mp4"
        for video in videos:
            signing, verifying, before = [], [], peak_memory()
            for _ in range(TRIALS):
                shutil.copy(video, copy)
                signing.append(seconds(lambda: signer.sign(copy, title="signed.mp4")))
                verifying.append(seconds(lambda: read_manifest(copy)))
            size = video.stat().st_size
            print(
                f"{video.name}: {size / 1e6:.2f} MB, {copy.stat().st_size - size} bytes more; signing "
                f"{1000 * median(signing):.0f} ms, verifying {1000 * median(verifying):.0f} ms; "
                f"memory up by {peak_memory() - before:.0f} MiB"
            )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
