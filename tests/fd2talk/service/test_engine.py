import pytest

from fd2talk.provenance.manifest import read_manifest
from fd2talk.service.engine import VideoEngine, Work
from fd2talk.service.limits import Limits
from shared.errors import InputError

pytestmark = pytest.mark.usefixtures("sine")


def test_videos_are_signed_where_the_environment_says_so(tmp_path, photo, audio, signer, monkeypatch):
    for name, value in signer.environment.items():
        monkeypatch.setenv(name, value)
    told = []
    work = Work({"photo": photo, "audio": audio}, {"seed": 3, "max_size": 128}, tmp_path / "video.mp4")
    facts = VideoEngine("bundled", "cpu", Limits())(work, lambda *what: told.append(what))
    assert (facts.width, facts.height) == (128, 128) and facts.seconds == pytest.approx(0.4, abs=0.05)
    assert told[-1] == ("rendering", 10, 10)
    manifest = read_manifest(work.output)
    assert manifest.intact and manifest.signer == "Anna"


def test_what_is_beyond_the_limits_is_refused_before_the_work(tmp_path, photo, audio):
    work = Work({"photo": photo, "audio": audio}, {}, tmp_path / "video.mp4")
    for limits in (Limits(pixels=100), Limits(seconds=0.1)):
        with pytest.raises(InputError):
            VideoEngine("bundled", "cpu", limits)(work, lambda *what: None)
    assert not list(tmp_path.iterdir())


def test_with_one_thread_everything_is_done_by_one(tmp_path, photo, audio, monkeypatch):
    import cv2
    import torch

    asked = []
    monkeypatch.setattr(torch, "set_num_threads", lambda number: asked.append(("torch", number)))
    monkeypatch.setattr(cv2, "setNumThreads", lambda number: asked.append(("cv2", number)))
    work = Work({"photo": photo, "audio": audio}, {"max_size": 128}, tmp_path / "video.mp4")
    VideoEngine("bundled", "cpu", Limits(), 1)(work, lambda *what: None)
    assert asked[:2] == [("torch", 1), ("cv2", 1)]
    assert b"threads=1 " in work.output.read_bytes()  # as x264 notes it
