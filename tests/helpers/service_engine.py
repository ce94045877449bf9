"""What makes videos in tests of the service around it: quick, and as bad as the photo asks for.

The photo may be JSON: {"seconds": how long it takes, "do": what goes wrong, "until": files without which it does not go
on}. The video says of which files it was made, and has a number of its own, so that another attempt gives another file.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import signal
import time
from pathlib import Path

from fd2talk.service.engine import Facts
from shared.errors import InputError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PARTS = 10


def made_of(photo, audio):
    """How the video of these contents begins."""
    return b"made of " + hashlib.sha256(photo).digest() + hashlib.sha256(audio).digest()


@contextlib.contextmanager
def alone(work):
    """Note in the folder of the service where a video is made twice at the same time; see `made_twice`."""
    data, name = work.output.parents[2], work.files["photo"].parents[1].name
    if fcntl is None:
        yield
        return
    (data / "making").mkdir(exist_ok=True)
    with (data / "making" / name).open("w") as file:  # the lock ends with the process, whatever ends that
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (data / "twice").write_text(name)
        yield


def made_twice(data):
    """Whether stub engines have made a video twice at the same time."""
    return (data / "twice").exists()


class StubEngine:
    def __init__(self, weights, device, limits, threads):
        self.given = weights, device, limits, threads

    def __call__(self, work, tell):
        photo, audio = work.files["photo"].read_bytes(), work.files["audio"].read_bytes()
        try:
            wish = json.loads(photo)
        except ValueError:
            wish = {}
        with alone(work):
            return self.make(work, tell, photo, audio, wish if isinstance(wish, dict) else {})

    def make(self, work, tell, photo, audio, wish):
        until = wish.get("until") or ()
        tell("reading the files", 0, 1)
        self.misbehave(wish.get("do"), work)
        with work.output.open("wb") as file:  # by and by, so that an end in the middle leaves half of it
            file.write(made_of(photo, audio) + secrets.token_bytes(16))
            for part in range(PARTS):
                file.write(bytes([part]) * 1000)
                file.flush()
                time.sleep(wish.get("seconds", 0.02) / PARTS)
                while part < len(until) and not Path(until[part]).exists():  # as one that works, and may be cancelled
                    tell("rendering", part + 1, PARTS)
                    time.sleep(0.02)
                tell("rendering", part + 1, PARTS)
            file.write(b"the end")
        return Facts(2.5, 64, 48)

    def misbehave(self, what, work):
        if what == "crash" or (what == "crash once" and not self.been_here(work)):
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "fail":
            raise InputError(f"cannot use {work.files['photo']}: no face found")
        elif what == "no weights":
            raise InputError(f"{self.given[0]}: /srv/weights/config.yaml is missing")
        elif what == "no package":
            raise UsageError("face_tracker needs face-alignment: pip install 'fd2talk[faces]'")
        elif what == "bug":
            raise ZeroDivisionError("a bug")
        elif what == "memory":
            raise MemoryError
        elif what == "hang" or (what == "hang once" and not self.been_here(work)):
            time.sleep(1000)
        elif what == "full" or (what == "full once" and not self.been_here(work)):
            raise OSError(errno.ENOSPC, "No space left on device")
        elif what == "threads":
            raise InputError(f"threads: {self.given[3]}")
        elif what == "style":
            Path(work.files["photo"].parent / "style").write_text(str(work.options.get("style")))
            raise InputError(f"style: {work.options.get('style')} {'style' in work.files}")

    @staticmethod
    def been_here(work):
        """Whether this video was tried before."""
        mark = work.files["audio"].parent / "tried"
        there = mark.exists()
        mark.touch()
        return there


class BrokenEngine:
    """One that cannot be loaded."""

    def __init__(self, *_):
        raise RuntimeError("no weights")


class SecondBrokenEngine(StubEngine):
    """One that can be loaded in one process alone."""

    def __init__(self, *given):
        super().__init__(*given)
        try:
            Path("../first").touch(exist_ok=False)  # processes work in a folder of the service
        except FileExistsError:
            raise RuntimeError("there is one already") from None
