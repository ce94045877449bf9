"""`fd2talk shard --check`: verifies all files of a folder of shards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fd2talk.progress import progress
from fd2talk.terminal import say
from shared.errors import InputError
from shared.shards.check import check_file, checksums_of_folder
from shared.shards.checksums import Checksum
from shared.shards.reader import is_sharded


def check_shards(folder: str, *, workers: int | None = None) -> None:
    """Compare all files of a folder of shards with their checksums, and report damaged ones.

    Args:
        folder: of the shards.
        workers: number of threads; None for one per CPU core.

    Raises:
        InputError: a file is damaged, missing or was replaced; or there are no shards, or they have no checksums.
        Fd2TalkError: pyarrow is missing.
    """
    if not is_sharded(folder):
        raise InputError(f"{folder}: no shards; `fd2talk shard PREPARED {folder}` makes them")
    known = checksums_of_folder(Path(folder))
    for card, checksums in known.items():
        if not checksums:
            raise InputError(f"{card}: without checksums, as it was written before there were any; make it again")
    files = {path: checksum for checksums in known.values() for path, checksum in checksums.items()}
    wrong = [line for line in _checked(files, workers or os.cpu_count() or 1) if line]
    if len(wrong) == 1:
        raise InputError(wrong[0])
    for line in wrong:
        say(line, 2)
    if wrong:
        raise InputError(f"{folder}: {len(wrong)} of {len(files)} files are damaged")
    size = sum(checksum.bytes for checksum in files.values())
    say(f"{len(files)} files, {size / 1e9:.3g} GB: as they were written", 0)


def _checked(files: Mapping[Path, Checksum], threads: int) -> list[str | None]:
    """The error of each file, or None. Threads suffice, as reading and hashing release the GIL."""
    pool = ThreadPoolExecutor(threads)
    try:
        with progress(len(files), "checking", "file") as bar:
            futures = [pool.submit(check_file, path, checksum) for path, checksum in files.items()]
            for future in futures:
                future.result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]
