"""What makes videos in tests of the service around it: quick, and as bad as the photo asks for.

The photo may be JSON: {"seconds": how long it takes, "do": what goes wrong}. The video says of which files it was made,
and has a number of its own, so that another attempt gives another file.
"""

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

PARTS = 10


def made_of(photo, audio):
    """How the video of these contents begins."""
    return b"made of " + hashlib.sha256(photo).digest() + hashlib.sha256(audio).digest()


class StubEngine:
    def __init__(self, weights, device, limits, threads):
        self.given = weights, device, limits, threads

    def __call__(self, work, tell):
        photo, audio = work.files["photo"].read_bytes(), work.files["audio"].read_bytes()
        try:
            wish = json.loads(photo)
        except ValueError:
            wish = {}
        tell("reading the files", 0, 1)
        self.misbehave(wish.get("do"), work)
        with work.output.open("wb") as file:  # by and by, so that an end in the middle leaves half of it
            file.write(made_of(photo, audio) + secrets.token_bytes(16))
            for part in range(PARTS):
                file.write(bytes([part]) * 1000)
                file.flush()
                time.sleep(wish.get("seconds", 0.02) / PARTS)
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
