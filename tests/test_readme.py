"""The examples of the README work."""

import re
import shutil
from pathlib import Path

from material import short_speech, write_wav

import fd2talk
from fd2talk import cli
from shared.media import read_video
from shared.weights import bundled

README = Path(__file__).parent.parent / "README.md"


def test_the_python_examples_run(tmp_path, monkeypatch):
    shutil.copy(bundled("demo/portrait_man_2.jpg"), tmp_path / "photo.jpg")
    write_wav(tmp_path / "speech.wav", short_speech()[:3200])
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(examples) == 4
    for code in examples:
        exec(code, {})
    assert len(fd2talk.Motion.load("motion.npz")) == 5
    for video in ("talk.mp4", "stages.mp4"):
        assert [frame.shape for frame in read_video(video)] == [(900, 900, 3)] * 5


def test_every_option_that_the_readme_shows_exists(capsys):
    text = README.read_text(encoding="utf-8")
    for command, rest in re.findall(r"^fd2talk (\w+) (.*)$", text, re.M):
        options = re.findall(r"--[a-z-]+", rest.split("#")[0])
        assert cli.main([command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(option in shown for option in options), (command, options)


def test_links_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.startswith("http") or (README.parent / target).exists(), target
