"""The examples of the README work, and what the documentation names exists."""

import importlib
import re
import shutil
from pathlib import Path

from material import short_speech, write_wav

import fd2talk
from fd2talk import cli
from shared.media import read_video
from shared.weights import bundled

README = Path(__file__).parent.parent / "README.md"
PAGES = [README, *sorted((README.parent / "docs").rglob("*.md"))]
ROOMS = "fd2talk|shared|stage1_motion|stage2_render"


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


def names_in(text):
    """Dotted names between backticks, and those that Python examples import."""
    names = set(re.findall(rf"`((?:{ROOMS})(?:\.\w+)+)", text))
    for module, imported in re.findall(rf"^from ((?:{ROOMS})[\w.]*) import (.+)$", text, re.M):
        names |= {f"{module}.{name.split()[0]}" for name in imported.split("#")[0].split(",")}
    # Those of frameworks that are not installed for these tests: tests/integrations.
    return {name for name in names if not name.startswith("fd2talk.integrations.")}


def exists(name):
    for dot in [len(name), *(match.start() for match in reversed(list(re.finditer(r"\.", name))))]:
        try:
            found = importlib.import_module(name[:dot])
        except ModuleNotFoundError:
            continue
        for attribute in filter(None, name[dot + 1 :].split(".")):
            found = getattr(found, attribute, None)
        return found is not None
    return False


def test_what_the_documentation_names_exists():
    assert exists("fd2talk.edited_video.video_footage") and not exists("fd2talk.track.video_footage")
    assert sum(len(names_in(page.read_text(encoding="utf-8"))) for page in PAGES) > 20
    for page in PAGES:
        missing = {name for name in names_in(page.read_text(encoding="utf-8")) if not exists(name)}
        assert not missing, f"{page.name}: {missing}"
