"""Ends at any moment, with the real renderer; tests/apps/test_service.py has fifty with a stub."""

import random
import time

import pytest
from material import DEMO, short_speech, write_wav
from service_client import Server


@pytest.mark.slow
def test_five_hard_ends_with_the_real_renderer(tmp_path):
    random.seed(3)
    sound = write_wav(tmp_path / "speech.wav", short_speech()).read_bytes()
    photo, data, contents = (DEMO / "portrait_woman.jpg").read_bytes(), tmp_path / "data", {}
    with Server(data, engine=None, log=tmp_path / "log") as server, server.client() as client:
        names = [client.queued(photo, sound, seed=str(seed), **{"max-size": "512"}) for seed in range(5)]
        server.kill()
    for _ in range(5):
        with Server(data, engine=None, log=tmp_path / "log") as server, server.client() as client:
            until = time.monotonic() + random.uniform(4, 14)
            while time.monotonic() < until:
                for name in names:
                    if client.video(name)["status"] == "completed":
                        content = client.content(name)
                        assert contents.setdefault(name, content) == content
                time.sleep(0.2)
            server.kill()
    with Server(data, engine=None, log=tmp_path / "log") as server, server.client() as client:
        for name in names:
            assert client.finished(name, 120)["status"] == "completed"
            content = client.content(name)
            assert contents.setdefault(name, content) == content and content[4:8] == b"ftyp"
        assert len({*contents.values()}) == 5 and len([*(data / "results").iterdir()]) == 5
