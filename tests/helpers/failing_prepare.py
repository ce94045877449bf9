"""`fd2talk prepare` as a process, with a tracker that raises what nobody expects at the clips of the person `bad`."""

import os
import subprocess
import sys

_CODE = """
import sys
from fd2talk import cli
from fd2talk.commands import prepare

def track(clip, *rest):
    from fd2talk.commands import prepare
    if clip.person == "bad":
        raise RuntimeError("no such tensor:\\n  mesh")
    return prepare._track_clip(clip, *rest)

if __name__ == "__main__":  # other processes have the real one
    prepare._track_clip = track
    sys.exit(cli.main())
"""


def failing_prepare(folder, *arguments):
    """Run the command with these arguments: exit code, standard output, standard error; `folder` is for its code."""
    script = folder / "failing_prepare_command.py"
    script.write_text(_CODE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, script, "prepare", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    return done.returncode, done.stdout, done.stderr
