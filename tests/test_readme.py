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


def calls_in(text, program):
    """What follows a program's name in fenced and inline code, up to a comment or another program."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    lines += [" ".join(code.split()) for code in re.findall(r"`((?:[^`\n]|\n(?!\n))+)`", prose)]
    for line in lines:
        for call in re.findall(rf"(?<![\w./-]){program}\s+([^#|;&]*)", line):
            if call.strip():
                yield call.split()


def options_of(words):
    return [word.split("=")[0] for word in words if re.fullmatch(r"--?[a-zA-Z][\w-]*(=.*)?", word)]


def test_commands_in_the_documentation_have_the_options_that_they_show():
    checked = 0
    for page in PAGES:
        for command, *rest in calls_in(page.read_text(encoding="utf-8"), "fd2talk"):
            if command.startswith("-") or not re.fullmatch(r"[a-z]+", command):
                continue
            assert command in cli.cli.commands, f"{page.name}: fd2talk {command}"
            parameters = cli.cli.commands[command].params
            known = {name for one in parameters for name in (*one.opts, *one.secondary_opts)} | {"--help"}
            unknown = set(options_of(rest)) - known
            assert not unknown, f"{page.name}: fd2talk {command} has no {unknown}"
            checked += len(options_of(rest))
    assert checked > 100


def test_scripts_in_the_documentation_have_the_options_that_they_show():
    checked = 0
    for page in PAGES:
        for script, *rest in calls_in(page.read_text(encoding="utf-8"), "python"):
            if not script.startswith("scripts/"):
                continue
            source = (README.parent / script).read_text(encoding="utf-8")
            unknown = [
                option for option in options_of(rest) if f'"{option}"' not in source and f"{option}/" not in source
            ]
            assert not unknown, f"{page.name}: {script} has no {unknown}"
            checked += 1
    assert checked > 30


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
