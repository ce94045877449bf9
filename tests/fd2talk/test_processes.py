"""Work shared among processes."""

import os

import pytest

from fd2talk.processes import in_processes
from shared.errors import Fd2TalkError


def test_a_process_that_is_killed_is_told_in_a_sentence():
    with pytest.raises(Fd2TalkError, match="a process died.*memory"):
        in_processes(os._exit, [(9,)], 1, "files", "file")
