"""The README's lines do what they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from shared.weights import bundled

README = Path(__file__).parent.parent / "README.md"


def test_the_python_example_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S).group(1)
    shutil.copy(bundled("demo/portrait_man_2.jpg"), tmp_path / "photo.jpg")
    shutil.copy(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"), tmp_path / "speech.wav")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert len(names["motion"]) == 75 and next(names["frames"]).shape == (900, 900, 3)


def test_every_option_that_the_readme_shows_exists():
    text = README.read_text(encoding="utf-8")
    for command, rest in re.findall(r"^fd2talk (\w+) (.*)$", text, re.M):
        options = re.findall(r"--[a-z-]+", rest.split("#")[0])
        run = [sys.executable, "-m", "fd2talk", command, "--help"]
        shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        assert all(option in shown for option in options), (command, options)


def test_links_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.startswith("http") or (README.parent / target).exists(), target
