"""The record of finished videos, in append-only files beside them."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fd2talk.batches.job import Job
from shared.weights import sha256


@dataclass(frozen=True)
class Entry:
    """A complete video, recorded before it is moved to its name.

    Args:
        output: its name in the folder.
        digest: of the job.
        facts: of the job.
        sha256: of the file.
        run: name of the run that made it.
        video_seconds: its length.
        work_seconds: that making it took.
        worker: process that made it.
        notes: warnings about its inputs.
    """

    output: str
    digest: str
    facts: Mapping[str, str]
    sha256: str
    run: str
    video_seconds: float
    work_seconds: float
    worker: str
    notes: list[str] = field(default_factory=list)


class Ledger:
    """The entries of a folder. Each process appends to a file of its own, so that writes cannot interleave.

    Args:
        folder: of these files; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"{platform.node() or 'here'}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._read: dict[Path, int] = {}
        self._entries: dict[str, list[Entry]] = {}

    def append(self, entry: Entry) -> None:
        """Write an entry, and flush it to the disk."""
        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        with open(self._own, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def find(self, job: Job, file: Path) -> Entry | None:
        """The entry of a job if its file exists and has the recorded content; else None."""
        entries = [entry for entry in self._of(job.output) if entry.digest == job.digest]
        if not entries or not file.is_file():
            return None
        found = sha256(file)
        return next((entry for entry in reversed(entries) if entry.sha256 == found), None)

    def difference(self, job: Job, file: Path) -> str:
        """Say why an existing file is not the video of a job."""
        entries = self._of(job.output)
        if not entries or not file.is_file():
            return "no batch made it"
        found = sha256(file)
        entry = next((entry for entry in reversed(entries) if entry.sha256 == found), None)
        if entry is None:
            return "it has been changed since it was made"
        names = sorted(name for name in {*entry.facts, *job.facts} if entry.facts.get(name) != job.facts.get(name))
        return f"made with another {', '.join(name.replace('_', ' ') for name in names)}"

    def outputs(self) -> set[str]:
        """Names of all recorded videos."""
        self._update()
        return set(self._entries)

    def _of(self, output: str) -> list[Entry]:
        """All entries for an output, the oldest of each process first."""
        self._update()
        return self._entries.get(output, [])

    def _update(self) -> None:
        """Read the lines added since the last call."""
        for path in sorted(self._folder.glob("*.jsonl")):
            with open(path, "rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):  # incomplete: its process was killed, or is writing it now
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    try:
                        entry = Entry(**json.loads(line))
                    except (ValueError, TypeError):
                        continue
                    self._entries.setdefault(entry.output, []).append(entry)
