"""A worker process: it makes the queued videos in order, one at a time; there may be several workers.

It is apart from the process that answers clients, so that it may use the whole CPU, or be killed for lack of memory,
while clients are answered. It reads commands from its standard input, and ends when that is closed, as it is when the
process that started it ends for any reason.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import re
import secrets
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fd2talk.project_warnings import project_warnings
from fd2talk.service.database import Database
from fd2talk.service.engine import Engine, Work
from fd2talk.service.errors import is_caused_by_full_disk, is_full
from fd2talk.service.folders import Folders, remove, sync_folder
from fd2talk.service.leases import Leases
from fd2talk.service.limits import Limits
from fd2talk.service.videos import Made, Video
from shared.errors import Fd2TalkError

LOG = logging.getLogger("fd2talk.service")
T = TypeVar("T")
_PATH = re.compile(r"(?:^|[\s'\"`(:=])(?:/|[A-Za-z]:[\\/])[^\s/]")
"""An absolute path in a message."""
_REPORT_SECONDS = 0.25
_RETRY_SECONDS = 5.0
_PERCENT_OF_STAGE = {"reading the files": (0, 2), "generating motion": (2, 25), "rendering": (25, 99)}
"""Stage -> percent of progress at its begin and end; other stages change nothing."""


@dataclass(frozen=True)
class Settings:
    """Settings of the process, passed to it as JSON; `start` is of `Leases.begin`, and `name` is unique."""

    folder: str
    engine: str
    weights: str
    device: str
    limits: dict[str, Any]
    start: int
    threads: int | None
    name: str


class Cancelled(Fd2TalkError):
    """The video was deleted, or its lease has ended."""


class Orders:
    """Commands on the standard input: `wake` and `stop`; its end ends the process."""

    def __init__(self) -> None:
        self.stopped = False
        self._changed = threading.Event()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait for a command, or for so many seconds."""
        self._changed.wait(seconds)
        self._changed.clear()

    def _read(self) -> None:
        said = b""
        while more := os.read(0, 4096):  # not by sys.stdin, whose lock would be held when this process ends
            said = said[-3:] + more  # a command may arrive in two pieces
            self.stopped |= b"stop" in said
            self._changed.set()
        os._exit(3)  # the service has ended: nothing may be published any more


class Worker:
    """Makes the videos of a service.

    Args:
        settings: of the process.
        orders: which wake and stop it.
    """

    def __init__(self, settings: Settings, orders: Orders) -> None:
        self._limits = Limits(**settings.limits)
        self._folders = Folders(Path(settings.folder), self._limits)
        self._leases = Leases(Database(self._folders.database), self._limits.keep_seconds)
        self._orders, self._start, self._name = orders, settings.start, settings.name
        module, _, name = settings.engine.partition(":")
        make = getattr(importlib.import_module(module), name)
        self._engine: Engine = make(settings.weights, settings.device, self._limits, settings.threads)

    def run(self) -> None:
        """Make videos until it is stopped."""
        while not self._orders.stopped:
            if not self._folders.has_room:
                self._orders.wait(_RETRY_SECONDS)
                continue
            if not self._make_next(f"{self._name}-{secrets.token_hex(12)}"):
                self._orders.wait(1.0)

    def _make_next(self, lease: str) -> bool:
        """Make the oldest queued video. False: the queue is empty."""
        video = self._retry_while_full(lambda: self._leases.claim(lease, self._start))
        if video is not None:
            self._make(video, lease)
        return video is not None

    def _make(self, video: Video, lease: str) -> None:
        LOG.info("%s is begun", video.id)
        folder = self._folders.work / lease
        try:
            folder.mkdir()
            with project_warnings(lambda sentence: LOG.info("%s: note: %s", video.id, sentence)):
                made = self._make_file(video, lease, folder / "video.mp4")
            if self._retry_while_full(lambda: self._leases.publish(lease, made)):
                LOG.info("%s is completed", video.id)
            else:
                remove(self._result(lease))
                raise Cancelled("it was deleted")
        except Cancelled as error:
            LOG.info("%s is cancelled: %s", video.id, error)
        except (Exception, SystemExit) as error:  # an error of one video must not end the worker
            if is_caused_by_full_disk(error):
                LOG.warning("%s: the disk is full", video.id)
                os._exit(_DISK_FULL_CODE)  # the supervisor counts it as a crash, and requeues the video
            code, sentence = self._error_of(error, video)
            LOG.warning("%s has failed: %s", video.id, sentence)
            if self._retry_while_full(lambda: self._leases.fail(lease, code, sentence)):
                remove(self._result(lease))  # complete, but could not be published
        finally:
            remove(folder)
            if not self._retry_while_full(lambda: self._leases.needs(video.id)):
                remove(self._folders.inputs / video.folder)

    def _make_file(self, video: Video, lease: str, output: Path) -> Made:
        """Make a video into `results`, complete and on the disk, but not published yet."""
        last = 0.0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < _REPORT_SECONDS and done:
                return
            last = now
            begin, end = _PERCENT_OF_STAGE.get(stage, (0, 0))
            percent = begin + (end - begin) * done // max(total, 1)
            if not self._retry_while_full(lambda: self._leases.progress(lease, stage, percent)):
                raise Cancelled("it was deleted")

        files = self._folders.input_paths(video.folder, video.files)
        options = {name: value for name, value in video.options.items() if name not in video.files}
        facts = self._engine(Work(files, options, output), report)
        digest = hashlib.sha256()
        with output.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
            os.fsync(file.fileno())
            size = file.tell()
        result = self._result(lease)
        os.rename(output, result)
        sync_folder(self._folders.results)
        return Made(result.name, size, digest.hexdigest(), facts.seconds, facts.width, facts.height)

    def _result(self, lease: str) -> Path:
        """Path of the complete video of a lease."""
        return self._folders.results / f"{lease}.mp4"

    def _error_of(self, error: BaseException, video: Video) -> tuple[str, str]:
        """Code and message for the client, with the client's own names of files."""
        if isinstance(error, MemoryError):
            return "out_of_memory", "there is not enough memory for this video; try a smaller max_size"
        if not isinstance(error, Fd2TalkError):
            LOG.error("a bug, while a video was made", exc_info=error)
            return "internal_error", "something went wrong here; the log of the service says what"
        sentence = " ".join(str(error).split())
        for role, path in self._folders.input_paths(video.folder, video.files).items():
            sentence = sentence.replace(str(path), video.files[role])
        if _PATH.search(sentence):  # of the weights, or a folder without permission: not the client's fault
            LOG.error("%s", sentence)
            return "internal_error", "something is wrong with the service, not with the request; its log says what"
        of_service = error.exit_code != 2 or "pip install" in sentence or "reinstall" in sentence
        return "failed" if of_service else "invalid_input", sentence

    def _retry_while_full(self, operation: Callable[[], T]) -> T:
        """Run an operation on the database; while the disk is full or the database locked, retry."""
        while True:
            try:
                return operation()
            except sqlite3.OperationalError as error:
                if not (is_full(error) or "locked" in str(error)):
                    raise
                LOG.warning("cannot write to the table of videos: %s", error)
                time.sleep(_RETRY_SECONDS)


_DISK_FULL_CODE = 28
"""Exit code of the process when the disk was full in the middle of a video."""


def main() -> None:
    """Run the worker; its only argument is its settings, as JSON."""
    for number in (signal.SIGINT, signal.SIGTERM):  # terminals send them to all processes; the service decides
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    from fd2talk.terminal import native_output_hidden

    with native_output_hidden():
        for handler in logging.getLogger().handlers:
            handler.setStream(sys.stderr)  # type: ignore[attr-defined]  # of `basicConfig`
        Worker(Settings(**json.loads(sys.argv[1])), Orders()).run()


if __name__ == "__main__":
    main()
