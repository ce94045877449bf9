"""What `make` says while it installs."""

import os
import pty
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# As from a shell, even where `make test` runs the tests.
SHELL = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.fixture
def pretended(tmp_path):
    """A copy of the Makefile, and a Python that only prints how it was called."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "called: $@"\n')
    python.chmod(0o755)
    return tmp_path


def test_installing_is_announced(pretended):
    done = subprocess.run(
        ["make", "install", "PYTHON=python3"], cwd=pretended, env=SHELL, capture_output=True, text=True, timeout=300
    )
    first, called = done.stdout.splitlines()
    assert first.startswith("installing fd2talk") and "minutes" in first
    assert called.startswith("called: -m pip install --quiet -c constraints.txt")
    again = subprocess.run(
        ["make", "install", "PYTHON=python3"], cwd=pretended, env=SHELL, capture_output=True, text=True, timeout=300
    )
    assert "installing" not in again.stdout


@pytest.mark.situation("Surroundings", "`make` installs for minutes", "it says so, and a terminal shows pip's progress")
def test_a_terminal_shows_the_progress_of_pip(pretended):
    ours, theirs = pty.openpty()
    subprocess.run(
        ["make", "install", "PYTHON=python3"],
        cwd=pretended,
        env=SHELL,
        stdout=theirs,
        stderr=theirs,
        check=True,
        timeout=300,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end, which not every system calls so; one piece need not be all
        while piece := os.read(ours, 10_000):
            shown += piece
    os.close(ours)
    assert "called: -m pip install -c constraints.txt" in shown.decode()
