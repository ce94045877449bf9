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


@pytest.fixture
def told(capsys):
    """Waits until standard error has more than a number of lines, and returns all of them."""
    lines = []

    def told(more_than):
        end = time.monotonic() + 60
        while True:
            lines.extend(capsys.readouterr().err.splitlines())
            if len(lines) > more_than:
                return lines
            assert time.monotonic() < end, "nothing is said"
            time.sleep(0.01)

    return told


@pytest.mark.situation("Surroundings", "long work without a terminal", "a line every 30 s with the share that is done")
def test_without_a_terminal_lines_say_how_much_is_done(hurried, told):
    begun = time.monotonic()
    with progress(None, "generating motion") as bar:
        assert set(told(2)) == {"fd2talk: generating motion ..."}  # nothing has been counted yet
        bar.update_to(30, 120)
        before = len(told(0))
        assert told(before + 1)[-1] == "fd2talk: generating motion: 25 % of 120 frames"
        bar.tell("left out: a.mp4")
    lines = told(before + 2)
    assert "fd2talk: left out: a.mp4" in lines[before + 2 :]
    assert len(lines) <= (time.monotonic() - begun) / 0.05 + 2


def test_phases_share_one_clock_and_short_work_says_nothing(monkeypatch, capsys):
    with command():
        for _ in counted((i for i in range(3)), 3, "rendering"):
            time.sleep(0.01)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.3)
        begun, lines = time.monotonic(), []
        while not lines:  # phases, each of which is shorter than the time between lines
            assert time.monotonic() < begun + 60
            list(counted((time.sleep(0.05) for _ in range(2)), 2, "rendering"))
            lines = capsys.readouterr().err.splitlines()
        assert len(lines) <= (time.monotonic() - begun) / 0.3 + 1


def test_what_a_signal_left_open_is_silent_when_the_command_has_ended(monkeypatch, capsys):
    monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.2)
    with command():
        left = progress(None, "rendering")
        left.__enter__()
    capsys.readouterr()
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_what_begins_late_belongs_to_the_command_that_began_it(hurried, monkeypatch):
    """A thread may begin to run when its command has ended already."""
    late = []
    monkeypatch.setattr("fd2talk.progress.say", lambda *_: pytest.fail("it speaks in the next command"))
    monkeypatch.setattr("threading.Thread.start", lambda thread: late.append(thread))
    monkeypatch.setattr("threading.Thread.join", lambda thread: None)
    with progress(None, "rendering"), command():
        time.sleep(0.06)
        late[0].run()


def test_nothing_is_said_after_the_end(hurried, capsys):
    with progress(4, "reading", "clip"):
        pass
    capsys.readouterr()
    time.sleep(0.15)
    assert capsys.readouterr().err == ""
