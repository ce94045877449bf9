import os
import signal
import subprocess
import sys

import pytest

from fd2talk.batches.lock import only_run
from shared.errors import UsageError

HOLD = """
import sys, time
from pathlib import Path
from fd2talk.batches.lock import only_run
with only_run(Path(sys.argv[1]), "OUT"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_at_a_time_and_a_dead_owner_holds_nothing(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"another `fd2talk batch` is writing to OUT \(process {holder.pid} on "):
            with only_run(tmp_path / "lock", "OUT"):
                pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with only_run(tmp_path / "lock", "OUT"):
        pass
    with only_run(tmp_path / "lock", "OUT"):  # given back
        pass


def test_a_note_on_the_holder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "lock.holder").mkdir()
    with only_run(tmp_path / "lock", "OUT"):
        with pytest.raises(UsageError, match="another `fd2talk batch`"), only_run(tmp_path / "lock", "OUT"):
            pass
