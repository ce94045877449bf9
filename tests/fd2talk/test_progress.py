import time

import pytest

from fd2talk.progress import counted, progress
from fd2talk.terminal import command


def test_counted_passes_everything_on_and_closes_what_it_reads():
    closed = []

    def numbers():
        try:
            yield from range(3)
        finally:
            closed.append(1)

    assert list(counted(numbers(), 3, "counting")) == [0, 1, 2]
    first = counted(numbers(), 3, "counting")
    assert next(first) == 0
    first.close()
    assert closed == [1, 1]


@pytest.fixture
def hurried(monkeypatch):
    """A line is due after a twentieth of a second."""
    monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.05)
    with command():  # the clock starts
        yield


@pytest.mark.situation("Surroundings", "long work without a terminal", "a line every 30 s with the share that is done")
def test_without_a_terminal_lines_say_how_much_is_done(hurried, capsys):
    with progress(None, "generating motion") as bar:
        time.sleep(0.2)  # nothing has been counted yet
        bar.update_to(30, 120)
        time.sleep(0.12)
        bar.tell("left out: a.mp4")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fd2talk: generating motion ..."
    assert lines[-2:] == ["fd2talk: generating motion: 25 % of 120 frames", "fd2talk: left out: a.mp4"]
    assert 3 <= len(lines) <= 9


def test_phases_share_one_clock_and_short_work_says_nothing(monkeypatch, capsys):
    with command():
        for _ in counted((i for i in range(3)), 3, "rendering"):
            time.sleep(0.01)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.3)
        for _ in range(8):  # each shorter than the time between lines
            list(counted((time.sleep(0.05) for _ in range(2)), 2, "rendering"))
        assert 1 <= len(capsys.readouterr().err.splitlines()) <= 3


def test_what_a_signal_left_open_is_silent_when_the_command_has_ended(monkeypatch, capsys):
    monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.2)
    with command():
        left = progress(None, "rendering")
        left.__enter__()
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_nothing_is_said_after_the_end(hurried, capsys):
    with progress(4, "reading", "clip"):
        pass
    capsys.readouterr()
    time.sleep(0.15)
    assert capsys.readouterr().err == ""
