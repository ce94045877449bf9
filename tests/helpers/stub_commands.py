"""`fd2talk batch` as a process, with `StubGenerator` in the place of the models."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

_CODE = """
import sys
from fd2talk import cli
from fd2talk.commands import batch
from stub_generator import StubGenerator

if __name__ == "__main__":
    batch.batch.__kwdefaults__["generator"] = StubGenerator
    sys.exit(cli.main())
"""


@contextmanager
def stub_commands(folder):
    """Yields a function that starts the command with arguments; what still runs in the end is killed."""
    (folder / "fd2talk_stub.py").write_text(_CODE)
    processes = []

    def start(*arguments):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, folder / "fd2talk_stub.py", "batch", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, text=True, env=environment, **pipes))
        return processes[-1]

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def wait_for(what, seconds=120):
    """Wait until `what()` is true."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)
