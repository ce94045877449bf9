"""A studio over real HTTP: what visitors get, and what they are told."""

import csv
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from material import write_wav
from PIL import Image
from studio_client import PNG, file_of, links

from fd2talk.output import write_video
from shared.motion import Motion


def test_a_video_and_its_files_are_made_and_agree(ready, tmp_path):
    client, sound = ready
    got = client.generate(sound)
    assert got["failed"] == "" and got["stage"] == "Done"
    files = {kind: client.http.get(url).content for kind, url in links(got["results"]).items()}
    assert set(files) == {"mp4", "glb", "csv", "npz"}
    (tmp_path / "m.npz").write_bytes(files["npz"])
    motion = Motion.load(tmp_path / "m.npz")
    assert len(motion) == 10 and len(motion.audio) == 6400
    with av.open(io.BytesIO(files["mp4"])) as video:
        assert video.streams.audio and sum(1 for _ in video.decode(video=0)) == 10
        assert video.metadata["synthetic_media"] == "fd2talk"
    rows = [*csv.DictReader(io.StringIO(files["csv"].decode()))]
    assert len(rows) == 10 and "JawOpen" in rows[0] and len({row["JawOpen"] for row in rows}) > 3
    assert files["glb"][:4] == b"glTF"


def test_two_seeds_are_compared(ready):
    client, sound = ready
    html = client.generate(sound, compare="Two seeds", seed=3, **{"other-seed": 4})["results"]
    assert html.count("<video") == 2 and "seed 3" in html and "seed 4" in html and "Play both" in html


def test_a_part_of_a_video_can_be_asked_for(ready):
    client, sound = ready
    url = links(client.generate(sound)["results"])["mp4"]
    part = client.http.get(url, headers={"range": "bytes=4-7"})
    assert part.status_code == 206 and part.content == b"ftyp"


@pytest.mark.parametrize(
    ("given", "saying"),
    [
        ({"seed": -1}, "the seed is a number"),
        ({"seed": None}, "the seed is a number"),
        ({"compare": "Two seeds", "other-seed": -5}, "the second seed is a number"),
        ({"style": "Of a clip"}, "give the clip"),
    ],
)
def test_what_is_wrong_is_said(ready, given, saying):
    client, sound = ready
    said = client.generate(sound, **given)["failed"]
    assert saying in said.lower() and 'role="alert"' in said and "Traceback" not in said


@pytest.mark.parametrize(
    "given", [{"model": "nobody"}, {"renderer": "diffusion"}, {"max-size": 1e9}, {"expression": 1e3}, {"seed": "x"}]
)
def test_what_the_page_does_not_offer_is_refused(ready, given):
    client, sound = ready
    got = client.generate(sound, **given)
    assert (got.get("error") or got["failed"]) and "results" not in got


def test_what_is_missing_is_said(client):
    assert "Give a photo" in client.fire("generate", "click")["failed"]
    client.photo(client.upload(PNG, "p.png")[1])
    assert "Give a recording" in client.fire("generate", "click")["failed"]


@pytest.mark.parametrize(
    ("content", "name", "saying"),
    [
        (b"hello, I am text", "p.jpg", "not an image"),
        (b"", "p.jpg", "empty"),
        (PNG[:2000], "p.png", "damaged"),
        ("video", "p.jpg", "it is a video"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "p.svg", "not an image"),
        ("grey", "p.png", "No face found"),
    ],
)
def test_what_is_no_photo_of_a_face_is_said(client, content, name, saying, tmp_path):
    if content == "video":
        content = _video(tmp_path / "v.mp4")
    elif content == "grey":
        Image.new("RGB", (300, 300), "grey").save(tmp_path / "g.png")
        content = (tmp_path / "g.png").read_bytes()
    status, path = client.upload(content, name)
    assert status == 200
    said = client.photo(path)
    assert saying in said and "role=" in said and str(Path(path).parent) not in said


@pytest.mark.parametrize(("content", "saying"), [(b"text", "decoded"), (b"", "empty"), (PNG, "no sound")])
def test_what_is_no_sound_is_said(client, content, saying):
    said = client.fire("speech", "change", {"speech": file_of(client.upload(content, "s.wav")[1])})["sound-said"]
    assert saying in said and 'role="alert"' in said


@pytest.mark.parametrize(
    ("samples", "level", "saying"),
    [(1500, 0.5, "shorter than 0.1 seconds"), (8000, 5e-4, "recording is silent"), (8000, 5e-3, "<p>0.5 seconds.</p>")],
)
def test_speech_that_says_nothing_is_said_at_once(client, tmp_path, samples, level, saying):
    sound = write_wav(tmp_path / "s.wav", level * np.sin(np.arange(samples))).read_bytes()
    said = client.fire("speech", "change", {"speech": file_of(client.upload(sound, "s.wav")[1])})["sound-said"]
    assert saying in said and ("silent" in said) == (level < 1e-3) and ('role="alert"' in said) == (samples < 1600)


def test_what_was_missing_is_no_longer_said_once_it_is_given(client):
    assert "Give a photo" in client.fire("generate", "click")["failed"]
    assert client.fire("photo", "change", {"photo": file_of(client.upload(PNG, "p.png")[1])})["failed"] == ""


def test_long_sound_is_refused(client, tmp_path):
    sound = write_wav(tmp_path / "long.wav", np.zeros(16000 * 121)).read_bytes()
    said = client.fire("speech", "change", {"speech": file_of(client.upload(sound, "l.wav")[1])})["sound-said"]
    assert "longer than 120 seconds" in said


def test_a_bug_shows_a_sentence(ready, studio, capfd, monkeypatch):
    client, sound = ready

    def broken(*_, **__):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("fd2talk.studio.video_job.generate", broken)
    said = client.generate(sound)
    assert "something went wrong" in said["failed"].lower() and "secret" not in json.dumps(said)
    assert "secret detail" in capfd.readouterr().err


def _video(path):
    write_video(path, [np.full((64, 64, 3), 90, np.uint8)] * 5)
    return path.read_bytes()
