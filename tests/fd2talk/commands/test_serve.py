"""`fd2talk serve`: what it refuses, and the whole way with a real portrait."""

import re
import signal
import subprocess
import sys

import pytest
from material import DEMO, SPEECH, short_speech, write_wav

from shared.media import read_audio, read_video, video_info


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        (["--host", "0.0.0.0"], "give a --token"),
        (["--token", "short"], "can be guessed"),
        (["--tokens", "none.txt"], "cannot read none.txt"),
        (["--tokens", "none.txt", "--token", "correct-horse-battery"], "give either"),
        (["--port", "99999"], "--port"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--weights", "none"], "none: there is no such folder of weights"),
        (["--max-seconds", "nan"], "not a number"),
        (["--max-waiting", "0"], "--max-waiting"),
        (["--keep", "0"], "--keep"),
        (["--data", "/dev/null/x"], "cannot use the folder"),
    ],
)
def test_what_cannot_be_served_is_said(refused, tmp_path, monkeypatch, options, saying):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    monkeypatch.chdir(tmp_path)
    refused("serve", *options, folder=tmp_path, saying=saying)


def test_without_the_extra_it_is_said_how_to_get_it(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("fd2talk.commands.serve.find_spec", lambda name: None)
    refused("serve", folder=tmp_path, saying="fd2talk serve needs fastapi: pip install 'fd2talk[serve]'")


def test_a_port_that_is_in_use_is_said(refused, tmp_path):
    import socket

    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused("serve", "--port", port, "--data", tmp_path / "d", folder=tmp_path, saying="cannot serve at 127.0.0.1")


def test_the_process_that_answers_loads_no_networks(tmp_path):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    code = "import sys, fd2talk.service.server, fd2talk.service.supervisor; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert not {"'torch'", "'cv2'", "'mediapipe'", "'av'"} & set(done.stdout.replace(",", " ").split())


def test_the_demo_portrait_over_plain_http(tmp_path):
    """The whole way, with the real models: post a photo and a recording, wait, download, look."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("httpx", reason="the extra dev is not installed")
    from service_client import Server

    sound = write_wav(tmp_path / "speech.wav", short_speech()).read_bytes()
    photo = (DEMO / "portrait_woman.jpg").read_bytes()
    with Server(tmp_path / "data", engine=None) as server, server.client() as client:
        no_face = client.queued(photo=(DEMO.parent / "demo" / SPEECH.name).read_bytes(), audio=sound)
        name = client.queued(photo, sound, **{"max-size": "256", "seed": "3"})
        video = client.finished(name, 300)
        assert video["status"] == "completed", video
        assert video["size"] == "256x256" and abs(video["seconds"] - 0.4) < 0.1
        (tmp_path / "talk.mp4").write_bytes(client.content(name))
        failed = client.video(no_face)
        assert failed["status"] == "failed" and failed["error"]["code"] == "invalid_input"
        assert failed["error"]["message"].startswith("cannot") and str(tmp_path) not in failed["error"]["message"]
        client.post("/v1/videos", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert server.stop() == 128 + signal.SIGTERM
    frames = [*read_video(tmp_path / "talk.mp4")]
    assert len(frames) == 10 and frames[0].shape == (256, 256, 3)
    assert video_info(tmp_path / "talk.mp4").has_audio and abs(len(read_audio(tmp_path / "talk.mp4")) - 6400) < 1100
    moved = [abs(frame.astype(int) - frames[0]).mean() for frame in frames[1:]]
    assert max(moved) > 0.3  # it speaks
    lines = server.log.read_text().splitlines()
    assert lines[-1] == "fd2talk: terminated" and not any("Traceback" in line for line in lines)
    assert not [line for line in lines[:-1] if not re.match(r"\d{4}-\d\d-\d\d \d\d:", line)]  # none of a library
    import av

    with av.open(str(tmp_path / "talk.mp4")) as container:
        assert container.metadata["synthetic_media"] == "fd2talk"
