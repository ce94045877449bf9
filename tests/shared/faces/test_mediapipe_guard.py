"""What surrounds mediapipe: closed standard error, notices, and packages that another one replaced."""

import logging
import os
import subprocess
import sys
import threading
import types
from contextlib import contextmanager

import numpy as np
import pytest

from shared.errors import Fd2TalkError, InputError
from shared.faces import tracker
from shared.faces.face_tracker import has_solutions
from shared.faces.mediapipe_guard import mediapipe_guard


@contextmanager
def descriptor_2(path):
    """File descriptor 2 leads to a file while the block runs."""
    kept, file = os.dup(2), os.open(path, os.O_CREAT | os.O_WRONLY)
    os.dup2(file, 2)
    os.close(file)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_native_notices_are_hidden_and_later_ones_are_not(tmp_path):
    with descriptor_2(tmp_path / "err"):
        with mediapipe_guard():
            os.write(2, b"notice")
            with mediapipe_guard():  # as when threads overlap: the last one restores
                os.write(2, b"notice")
            os.write(2, b"notice")
            print("notice", file=sys.stderr)
            logging.getLogger("matplotlib").warning("the home folder is not writable")
        os.write(2, b"said")
    assert (tmp_path / "err").read_bytes() == b"said"


def test_threads_leave_standard_error_as_it_was(tmp_path):
    def work():
        for _ in range(50):
            with mediapipe_guard():
                os.write(2, b"notice")

    threads = [threading.Thread(target=work) for _ in range(4)]
    before = sys.stderr
    with descriptor_2(tmp_path / "err"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.write(2, b"said")
    assert (tmp_path / "err").read_bytes() == b"said" and sys.stderr is before


def test_closed_standard_error(tmp_path):
    """Files opened in the meantime do not become standard error, where native code would write into them."""
    with descriptor_2(tmp_path / "err"):
        os.close(2)
        with mediapipe_guard():
            os.write(2, b"notice")
            file = os.open(os.devnull, os.O_RDONLY)
            os.close(file)
        with pytest.raises(OSError):
            os.fstat(2)
    assert file != 2


@pytest.mark.situation(
    "Surroundings",
    "`os.close(2)` in a program that uses the Python API",
    "photos are fitted, 2 stays closed",
)
def test_the_api_works_without_standard_error():
    code = (
        "import os; os.close(2)\n"
        "import fd2talk; from shared.weights import bundled\n"
        "image = fd2talk.read_image(bundled('demo/portrait_man.jpg'), max_side=240)\n"
        "print(fd2talk.PhotoFit.fit(image).landmarks.shape)\n"
        "try: os.fstat(2)\n"
        "except OSError: print('closed')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout.split()) == (0, ["(478,", "3)", "closed"])


@pytest.mark.situation(
    "Surroundings",
    "another package replaced one that mediapipe needs (tensorboard alone brings a newer protobuf)",
    "one line that names `fd2talk doctor`, which says what to install",
)
def test_a_broken_mediapipe_is_one_sentence(monkeypatch):
    def broken(*_, **__):
        raise AttributeError("'FieldDescriptor' object has no attribute 'label'")

    for name in ("face_mesh", "face_detection"):
        module = types.SimpleNamespace(FaceMesh=broken, FaceDetection=broken)
        monkeypatch.setitem(sys.modules, f"mediapipe.python.solutions.{name}", module)
    if not has_solutions():
        from mediapipe.tasks.python.vision import FaceDetector, FaceLandmarker

        for task in (FaceDetector, FaceLandmarker):
            monkeypatch.setattr(task, "create_from_options", broken)
    for use in (tracker.track_photo, tracker.detect_faces, lambda image: list(tracker.track_video([image]))):
        with pytest.raises(Fd2TalkError, match="has no attribute 'label'.*fd2talk doctor") as error:
            use(np.zeros((80, 80, 3), np.uint8))
        assert error.value.exit_code == 1 and "\n" not in str(error.value)


def test_what_users_and_memory_do_passes_through():
    for kind in (InputError, MemoryError, KeyboardInterrupt):
        with pytest.raises(kind), mediapipe_guard():
            raise kind("no face")
