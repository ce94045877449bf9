"""A process that makes videos: it takes them in order from the table, one at a time; there may be several of them.

It is apart from the process that answers clients, so that it may take all of the processor, or end for lack of memory,
while clients are answered. It reads orders from its standard input, and ends when that is closed: with the process that
started it, whatever ended that one.
"""

from __future__ import annotations

import contextlib
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
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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
"""Of a file of this computer, in a sentence."""
_SECONDS_BETWEEN_REPORTS = 0.25
_SECONDS_WITHOUT_ROOM = 5.0
_PARTS = {"reading the files": (0, 2), "generating motion": (2, 25), "rendering": (25, 99)}
"""From which percent to which a step takes it; others change nothing."""


@dataclass(frozen=True)
class Settings:
    """What the process is started with, as JSON: where, by what, its threads, and its name, which no other one had."""

    folder: str
    engine: str
    weights: str
    device: str
    limits: dict[str, Any]
    start: int
    threads: int | None
    name: str


class Cancelled(Fd2TalkError):
    """The video is not wanted any more, or somebody else makes it."""


class Orders:
    """What arrives on the standard input: `wake`, `stop`, or its end."""

    def __init__(self) -> None:
        self.stopped = False
        self._changed = threading.Event()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Until something is to be done, or so long."""
        self._changed.wait(seconds)
        self._changed.clear()

    def _read(self) -> None:
        said = b""
        while more := os.read(0, 4096):  # not by sys.stdin, whose lock would be held when this process ends
            said = said[-3:] + more  # a word may come in two pieces
            self.stopped |= b"stop" in said
            self._changed.set()
        os._exit(3)  # whoever started this process is gone: nothing may be published any more


class Worker:
    """Makes the videos of a folder.

    Args:
        settings: where, and by what.
        orders: which stop it.
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
        """Until it is stopped."""
        while not self._orders.stopped:
            if not self._folders.has_room:
                self._orders.wait(_SECONDS_WITHOUT_ROOM)
                continue
            if not self._make_next(f"{self._name}-{secrets.token_hex(12)}"):
                self._orders.wait(1.0)

    def _make_next(self, lease: str) -> bool:
        """Make the video that has waited longest. False: none waits."""
        video = self._insist(lambda: self._leases.claim(lease, self._start))
        if video is not None:
            self._make(video, lease)
        return video is not None

    def _make(self, video: Video, lease: str) -> None:
        LOG.info("%s is begun", video.id)
        folder = self._folders.work / lease
        try:
            folder.mkdir()
            with _notes(video.id):
                made = self._made(video, lease, folder / "video.mp4")
            if self._insist(lambda: self._leases.publish(lease, made)):
                LOG.info("%s is completed", video.id)
            else:
                remove(self._result(lease))
                raise Cancelled("it was deleted")
        except Cancelled as error:
            LOG.info("%s is cancelled: %s", video.id, error)
        except (Exception, SystemExit) as error:  # whatever it is, the next video is none the worse for it
            if is_caused_by_full_disk(error):
                LOG.warning("%s: the disk is full", video.id)
                os._exit(_FULL)  # counted by who watches this process, and tried again when there is room
            code, sentence = self._why(error, video)
            LOG.warning("%s has failed: %s", video.id, sentence)
            if self._insist(lambda: self._leases.fail(lease, code, sentence)):
                remove(self._result(lease))  # what was complete, and could not be published
        finally:
            remove(folder)
            if not self._insist(lambda: self._leases.needs(video.id)):
                remove(self._folders.inputs / video.folder)

    def _made(self, video: Video, lease: str, output: Path) -> Made:
        """Make a video; it lies in `results` then, complete and on the disk, under a name that nobody knows yet."""
        last = 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < _SECONDS_BETWEEN_REPORTS and done:
                return
            last = now
            begin, end = _PARTS.get(what, (0, 0))
            percent = begin + (end - begin) * done // max(total, 1)
            if not self._insist(lambda: self._leases.progress(lease, what, percent)):
                raise Cancelled("it was deleted")

        files = self._folders.input_paths(video.folder, video.files)
        options = {name: value for name, value in video.options.items() if name not in video.files}
        facts = self._engine(Work(files, options, output), tell)
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
        """Where the complete video of a lease lies."""
        return self._folders.results / f"{lease}.mp4"

    def _why(self, error: BaseException, video: Video) -> tuple[str, str]:
        """What the client is told: files are called as the client called them."""
        if isinstance(error, MemoryError):
            return "out_of_memory", "there is not enough memory for this video; try a smaller max_size"
        if not isinstance(error, Fd2TalkError):
            LOG.error("a bug, while a video was made", exc_info=error)
            return "internal_error", "something went wrong here; the log of the service says what"
        sentence = " ".join(str(error).split())
        for role, path in self._folders.input_paths(video.folder, video.files).items():
            sentence = sentence.replace(str(path), video.files[role])
        if _PATH.search(sentence):  # weights, or a folder that cannot be written to: no fault of the client's
            LOG.error("%s", sentence)
            return "internal_error", "something is wrong with the service, not with the request; its log says what"
        of_service = error.exit_code != 2 or "pip install" in sentence or "reinstall" in sentence
        return "failed" if of_service else "invalid_input", sentence

    def _insist(self, ask: Callable[[], T]) -> T:
        """Ask the table until the disk has room for the answer; what is not written down has not happened."""
        while True:
            try:
                return ask()
            except sqlite3.OperationalError as error:
                if not (is_full(error) or "locked" in str(error)):
                    raise
                LOG.warning("cannot write to the table of videos: %s", error)
                time.sleep(_SECONDS_WITHOUT_ROOM)


_FULL = 28
"""Exit code of the process when the disk was full in the middle of a video."""


@contextlib.contextmanager
def _notes(name: str) -> Iterator[None]:
    """Warnings go to the log, as these are for who runs the service."""
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in ("fd2talk", "shared", "stage1_motion", "stage2_render"):
            warnings.filterwarnings("always", category=UserWarning, module=rf"{package}(\.|$)")

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            sentence = " ".join(str(message).split())
            if sentence not in said:
                said.add(sentence)
                LOG.info("%s: note: %s", name, sentence)

        warnings.showwarning = show
        yield


def main() -> None:
    """Run the process; the only argument are its settings."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they come to all processes; the first one decides
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    from fd2talk.terminal import native_output_hidden

    with native_output_hidden():
        for handler in logging.getLogger().handlers:
            handler.setStream(sys.stderr)  # type: ignore[attr-defined]  # of `basicConfig`
        Worker(Settings(**json.loads(sys.argv[1])), Orders()).run()


if __name__ == "__main__":
    main()
