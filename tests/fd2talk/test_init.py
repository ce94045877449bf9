"""`import fd2talk`: light, complete, and aware of foreign packages that hide ours."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fd2talk

FD2TALK = Path(sys.executable).with_name("fd2talk")


def run(*command, **settings):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **settings)


def test_the_import_is_light():
    code = "import sys, fd2talk; dir(fd2talk); print(*sys.modules)"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0 and "fd2talk" in done.stdout.split()
    assert not {"torch", "mediapipe", "transformers", "cv2", "av", "numpy"} & set(done.stdout.split())


def test_every_name_is_there():
    classes = "TalkingHeadPipeline MotionPipeline RenderPipeline Motion PhotoFit SamplingOptions PostProcessing Style"
    assert set(fd2talk.__all__) == {
        *classes.split(),
        "Signer",
        "read_audio",
        "read_image",
        "write_video",
        "__version__",
    }
    for name in fd2talk.__all__:
        assert getattr(fd2talk, name) is not None and name in dir(fd2talk)
    assert fd2talk.__version__ == importlib.metadata.version("fd2talk")
    with pytest.raises(AttributeError, match="'fd2talk' has no attribute 'TalkingHat'"):
        _ = fd2talk.TalkingHat


@pytest.fixture(params=["shared/__init__.py", "stage1_motion/__init__.py", "stage2_render.py"])
def hidden(request, tmp_path):
    """How to run Python where a foreign package hides one of ours: (its name, settings of the process)."""
    foreign = tmp_path / "path" / request.param
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    settings = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path / "path")}}
    return tmp_path / "path" / Path(request.param).parts[0], settings


def test_a_foreign_package_is_an_import_error(hidden):
    foreign, settings = hidden
    done = run(sys.executable, "-c", "import fd2talk", **settings)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"ImportError: {foreign} hides the package `{foreign.stem}` of fd2talk: rename it")


@pytest.mark.parametrize("command", [(sys.executable, "-m", "fd2talk"), (FD2TALK,)])
def test_a_foreign_package_is_one_line_on_the_command_line(command, hidden):
    foreign, settings = hidden
    done = run(*command, "--help", **settings)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"fd2talk: {foreign} hides the package") and done.stderr.count("\n") == 1


def test_a_folder_that_python_does_not_prefer_is_no_problem(tmp_path):
    """Ours comes first where the project's folder does."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").touch()
    path = os.pathsep.join([str(Path(fd2talk.__file__).parents[1]), str(tmp_path)])
    done = run(sys.executable, "-c", "import fd2talk", cwd=tmp_path.parent, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
