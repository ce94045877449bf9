"""Makes the videos of jobs in a worker process; each video appears atomically and once."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fd2talk.batches.job import FAILED, KEPT, MADE, Job, Outcome
from fd2talk.batches.ledger import Entry, Ledger
from fd2talk.project_warnings import project_warnings
from fd2talk.request import Request, request_from
from shared.errors import Fd2TalkError, UsageError
from shared.weights import sha256

if TYPE_CHECKING:
    from fd2talk.generation import Progress
    from fd2talk.provenance.signer import Signer

STATE = ".fd2talk-batch"
"""Folder beside the videos: ledger, thumbnails, unfinished videos."""


class VideoWriter(Protocol):
    """Writes the video of a request; `fd2talk.generation.Generator` is one."""

    def write(
        self, request: Request, path: Path, *, progress: Progress | None = None, signer: Signer | None = None
    ) -> None:
        """Write the video of a request."""


def load_generator(weights: str, device: str, threads: int) -> VideoWriter:
    """Return a generator, and set the number of threads of this process."""
    import cv2
    import torch

    from fd2talk.generation import Generator

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    return Generator(weights, device, threads=threads)


@dataclass(frozen=True)
class Settings:
    """What the processes of a run share.

    Args:
        out: folder of the videos, absolute.
        run: name of the run.
        weights: `bundled`, or a folder.
        device: for the networks.
        threads: of each process.
        overwrite: replace existing videos with other contents.
        signer: signs the videos, or None.
        generator: function of weights, device and threads that returns a `VideoWriter`; importable in other processes.
    """

    out: str
    run: str
    weights: str = "bundled"
    device: str = "cpu"
    threads: int = 1
    overwrite: bool = False
    signer: Signer | None = None
    generator: Callable[[str, str, int], VideoWriter] = load_generator

    @property
    def state(self) -> Path:
        """The folder beside the videos."""
        return Path(self.out) / STATE

    @property
    def parts(self) -> Path:
        """Folder of this run's unfinished videos, on the same file system as the finished ones."""
        return self.state / "parts" / self.run

    def make_folders(self) -> None:
        """Create the folders. Raises UsageError: they cannot be created."""
        try:
            for folder in (self.parts, self.state / "journal", self.state / "thumbnails"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write to {self.out}: {error.strerror}") from error


class Maker:
    """Makes videos; models are loaded at their first use and kept.

    A video is written to a temporary file, recorded in the ledger, and then moved to its name, atomically and without
    replacing an existing file. If the process is killed, there is either no video, or a complete one with its entry.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = Ledger(settings.state / "journal")
        self._worker = f"{platform.node()}:{os.getpid()}"
        self._generator: VideoWriter | None = None

    def __call__(self, job: Job, progress: Progress | None = None) -> Outcome:
        """Make a video, unless it exists.

        Args:
            job: the video to make.
            progress: as of `Generator.write`.

        Returns:
            The outcome; errors of any kind are outcomes, too, so that other rows go on.
        """
        begun = time.perf_counter()
        notes: list[str] = []
        try:
            with project_warnings(notes.append):
                entry = self._make(job, progress, begun, notes)
        except Fd2TalkError as error:
            sentence = " ".join(str(error).split())
        except MemoryError:
            sentence = "out of memory; try a smaller max-size or a shorter recording"
        except OSError as error:  # a disk that is full, a folder that has gone
            sentence = f"cannot write {job.output}: {error.strerror or error}"
        except Exception as error:
            sentence = self._unexpected(job, error)
        else:
            return self._outcome(entry, job)
        seconds = time.perf_counter() - begun
        return Outcome.of(job, FAILED, work_seconds=seconds, worker=self._worker, error=sentence, notes=notes)

    def made(self, job: Job) -> Outcome | None:
        """Return the outcome of a job whose video exists unchanged; else None."""
        entry = self._ledger.find(job, Path(self._settings.out) / job.output)
        return self._outcome(entry, job) if entry else None

    def difference(self, job: Job) -> str:
        """Say why the file of this name is not the video of a job."""
        return self._ledger.difference(job, Path(self._settings.out) / job.output)

    def _outcome(self, entry: Entry, job: Job) -> Outcome:
        facts = {name: getattr(entry, name) for name in ("video_seconds", "work_seconds", "worker", "notes")}
        return Outcome.of(job, MADE if entry.run == self._settings.run else KEPT, **facts)

    def _make(self, job: Job, progress: Progress | None, begun: float, notes: list[str]) -> Entry:
        settings, target = self._settings, Path(self._settings.out) / job.output
        if target.exists():  # perhaps made by a process whose outcome was lost
            if entry := self._ledger.find(job, target):
                return entry
            if not settings.overwrite:
                raise UsageError(existing(job, self._ledger.difference(job, target)))
        if self._generator is None:
            self._generator = settings.generator(settings.weights, settings.device, settings.threads)
        # Under its final name, which becomes part of the signature.
        part = settings.parts / f"{job.digest[:16]}-{secrets.token_hex(4)}" / target.name
        part.parent.mkdir()
        try:
            wanted = request_from(job.photo, job.audio, job.values)
            self._generator.write(wanted, part, progress=progress, signer=settings.signer)
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            seconds = _thumbnail(part, settings.state / "thumbnails" / f"{job.digest}.jpg")
            work = time.perf_counter() - begun
            entry = Entry(
                job.output, job.digest, job.facts, sha256(part), settings.run, seconds, work, self._worker, notes
            )
            self._ledger.append(entry)
            if not _move(part, target, settings.overwrite):
                if other := self._ledger.find(job, target):
                    return other
                raise UsageError(existing(job, "no batch made it"))
            return entry
        finally:
            shutil.rmtree(part.parent, ignore_errors=True)

    def _unexpected(self, job: Job, error: Exception) -> str:
        from fd2talk.dependencies import broken_dependency

        if sentence := broken_dependency(error):
            return sentence
        file = self._settings.state / f"error-{job.digest[:16]}.txt"
        with suppress(OSError):
            file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (all of it in {STATE}/{file.name})"


def existing(job: Job, difference: str) -> str:
    """Say that a video cannot be made because another one is there."""
    return f"{job.output} exists ({difference}); --overwrite replaces it"


def _move(part: Path, target: Path, overwrite: bool) -> bool:
    """Move a finished file to its name. Returns False if that exists."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not overwrite:
        try:
            os.link(part, target)
            return True
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: checking and moving are not atomic then
            if target.exists():
                return False
    os.replace(part, target)
    return True


def _thumbnail(video: Path, file: Path) -> float:
    """Write a small frame of a video, and return the video's length in seconds."""
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        length = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        at, picture = min(length / 2, 2.0), None
        for frame in container.decode(stream):
            picture = frame
            if (frame.time or 0.0) >= at:
                break
        if picture is not None:
            image = picture.to_image()
            image.thumbnail((160, 120))
            image.save(file, quality=80)
    return length
