"""What `fd2talk live` refuses, and that it starts and stops."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from said import said


def test_wrong_use_is_one_line(refused, photo, tmp_path):
    refused("live", photo, "--host", "0.0.0.0", folder=tmp_path, saying="give a --token")
    refused("live", photo, "--host", "0.0.0.0", "--token", "short", folder=tmp_path, saying="can be guessed")
    refused("live", tmp_path / "none.jpg", folder=tmp_path, saying="none.jpg")
    refused("live", photo, "--renderer", "diffusion", folder=tmp_path, saying="diffusion")
    refused("live", photo, "--style", "calm", folder=tmp_path, saying="takes no style")
    refused("live", photo, "--size", "32", folder=tmp_path, saying="64")


def test_without_its_packages_it_names_the_extra(refused, photo, tmp_path, monkeypatch):
    for name in ("fd2talk.live.listener", "fd2talk.live.server", "fd2talk.live.tracks"):
        monkeypatch.setitem(sys.modules, name, None)
    refused("live", photo, folder=tmp_path, saying="pip install 'fd2talk[live]'")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(photo, stop):
    pytest.importorskip("aiortc", reason="the extra live is not installed")
    command = [sys.executable, "-m", "fd2talk", "live", photo, "--port", "0", "--renderer", "geometry"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())[1]
            assert b"fd2talk live" in urllib.request.urlopen(address).read()
            poster = urllib.request.urlopen(f"{address}poster.jpg").read()
            assert poster[:2] == b"\xff\xd8" and len(poster) > 2000
            busy = subprocess.run(
                [*command[:6], address.rsplit(":")[-1].strip("/"), *command[7:]], capture_output=True, text=True
            )
            assert busy.returncode == 2 and "cannot listen on 127.0.0.1" in busy.stderr.splitlines()[-1]
        finally:
            process.send_signal(stop)
            assert process.wait(600) == 128 + stop
        sentence = "interrupted" if stop == signal.SIGINT else "terminated"
        assert said(process.stderr.read()) == [f"fd2talk: {sentence}"]


def test_a_port_in_use_is_noticed_before_models_are_loaded(refused, photo, tmp_path, monkeypatch):
    pytest.importorskip("aiortc", reason="the extra live is not installed")
    monkeypatch.setattr("stage2_render.pipeline.RenderPipeline.from_pretrained", None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused("live", photo, "--port", port, folder=tmp_path, saying="cannot listen on 127.0.0.1")
