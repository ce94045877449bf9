"""What Ctrl-C and SIGTERM do to the command line, warnings, and a closed standard output."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from said import said

from fd2talk.progress import progress
from fd2talk.terminal import Stopped, notes, printable, say, signals


class StoppedInFinalizer:
    """Python ignores what a finalizer raises; libraries have plenty of them."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def stopped_in_bare_except():
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        pass


@pytest.mark.parametrize("swallow", [StoppedInFinalizer, stopped_in_bare_except])
def test_a_stop_that_something_swallows_is_repeated(swallow, capsys):
    started = time.monotonic()
    with pytest.raises(Stopped) as stopped, signals():
        swallow()
        while time.monotonic() < started + 120:
            time.sleep(0.001)
    assert stopped.value.exit_code == 143
    assert time.monotonic() < started + 60
    assert capsys.readouterr().err == ""


def test_a_second_signal_does_not_disturb_the_clean_up():
    cleared = False
    with pytest.raises(Stopped) as stopped, signals():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.1)
            cleared = True
    assert cleared and stopped.value.exit_code == 130


def test_handlers_come_back_and_no_signal_comes_late():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped), signals():
        stopped_in_bare_except()
        signal.raise_signal(signal.SIGTERM)
    with signals():
        stopped_in_bare_except()
    time.sleep(0.15)  # a repeated signal would end this process
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_outside_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_own_warnings_become_one_line(capsys):
    with notes():
        for _ in range(2):
            warnings.warn_explicit("something\nto know", UserWarning, "x.py", 1, module="shared.audio")
            warnings.warn_explicit("for developers", DeprecationWarning, "x.py", 1, module="shared.audio")
            warnings.warn_explicit("foreign", UserWarning, "x.py", 1, module="torch.nn")
    assert capsys.readouterr().err == "fd2talk: note: something to know\n"


def test_closed_standard_output_is_no_failure(tmp_path, photo):
    arguments = [sys.executable, "-m", "fd2talk", "track", str(photo), "-o", str(tmp_path / "m.npz")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert said(process.stderr.read()) == [] and process.wait(600) == 0
    assert (tmp_path / "m.npz").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_one_line(photo):
    with open("/dev/full", "w") as full:
        arguments = [sys.executable, "-m", "fd2talk", "faces", str(photo)]
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 1
    assert said(done.stderr) == ["fd2talk: cannot write to standard output: No space left on device"]


def shell(line, **settings):
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=600, **settings)


@pytest.mark.situation(
    "Surroundings",
    "standard error closed (`2>&-`; services, pythonw)",
    "works; why a command fails is then said on standard output",
)
def test_without_standard_error(tmp_path, photo):
    command = f"{sys.executable} -m fd2talk track"
    done = shell(f"{command} {photo} -o {tmp_path}/m.npz <&- 2>&-")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/m.npz\n")
    done = shell(f"{command} {tmp_path}/none.jpg -o {tmp_path}/n.npz 2>&-")
    assert (done.returncode, done.stdout.count("\n")) == (2, 1) and "no such file" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.situation(
    "Surroundings", "a home folder that cannot be written to (containers)", "works, with nothing on standard error"
)
def test_read_only_home(tmp_path, photo, motion_file):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MPL")} | {"HOME": "/proc/1"}
    line = f"{sys.executable} -m fd2talk render {photo} {motion_file} -o {tmp_path}/o.mp4 --renderer geometry"
    done = shell(line, env=environment)
    assert (done.returncode, done.stdout, said(done.stderr)) == (0, f"{tmp_path}/o.mp4\n", [])


def test_texts_of_others_stay_in_their_line(capsys):
    assert printable("a photo, große Bilder (2).mp4") == "a photo, große Bilder (2).mp4"
    assert printable("a\nb\x1b[31m\u202ec\udcff\x9b") == r"a\nb\x1b[31m\u202ec\udcff\x9b"
    say("a\nfd2talk: b\r\x1b[2K", 0)
    assert capsys.readouterr().err == "fd2talk: a\\nfd2talk: b\\r\\x1b[2K\n"
    with progress(1, "clips", "clip") as bar:
        bar.tell("left out: a\nb")
    assert "left out: a\\nb\n" in capsys.readouterr().err
