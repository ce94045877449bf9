"""Processes that end with the one that started them, whatever ended that: its kill reaches nobody else."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import connection, parent_process

_SECONDS_TO_CLEAN_UP = 5.0


def end_with_parent() -> None:
    """Have this process of `multiprocessing` end soon after its parent; called in it, at its start.

    It is asked as by SIGTERM first, so that it cleans up. Without a parent nothing happens.
    """
    if parent_process() is not None:
        threading.Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_CLEAN_UP)
    os._exit(1)
