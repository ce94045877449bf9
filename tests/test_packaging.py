"""What is declared is what is imported; the archives hold everything; `make` finds a Python; the image's commands."""

import ast
import functools
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import wave
import zipfile

import pytest
from said import said

from tests.test_architecture import FILES, MODULES, ROOT, TRAINERS, trains

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "PIL": "pillow", "cv2": "opencv-contrib-python", "skimage": "scikit-image", "yaml": "pyyaml",
    "face_alignment": "face-alignment", "pillow_heif": "pillow-heif", "pytorch_fid": "pytorch-fid",
    "livekit": "livekit-agents", "pipecat": "pipecat-ai", "c2pa": "c2pa-python",
    "prometheus_client": "prometheus-client", "python_multipart": "python-multipart",
}  # fmt: skip
# Packages of the extras of the same names: nothing else imports them, but the commands when they run.
APPS = {"fd2talk.live": "live", "fd2talk.service": "serve", "fd2talk.studio": "studio"}
OURS = {"fd2talk", "shared", "stage1_motion", "stage2_render"}
HELPERS = {path.stem for path in (ROOT / "tests").rglob("*") if path.suffix in ("", ".py")}


def declared(extra=None):
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines}


@functools.cache
def imported(path, at_import_time=False):
    """Distributions of others that a file imports; those inside functions and `try:` are optional."""
    waiting, found = [*ast.parse(path.read_text(encoding="utf-8")).body], set()
    while waiting:
        node = waiting.pop()
        if at_import_time and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Try)):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            found |= {part.value for part in node.args if isinstance(part, ast.Constant)}
        waiting += ast.iter_child_nodes(node)
    tops = {"tensorboard" if "tensorboard" in name else name.split(".")[0] for name in found}
    tops -= sys.stdlib_module_names | OURS
    return {DISTRIBUTIONS.get(name, name) for name in tops}


def test_generating_imports_what_is_declared_and_nothing_else_is_declared():
    base, optional = set(), set()
    for name, path in MODULES.items():
        optional |= imported(path)
        if not trains(name) and not name.startswith((*TRAINERS, *APPS)):
            base |= imported(path, at_import_time=True)
    # Imported where they are first needed, but needed by every command.
    base |= {"mediapipe", "packaging"}
    assert base == declared()
    extras = set().union(*(declared(extra) for extra in PROJECT["optional-dependencies"]))
    assert optional <= declared() | extras, optional - declared() - extras


@pytest.mark.parametrize(("package", "extra"), APPS.items())
def test_apps_import_what_their_extras_declare(package, extra):
    names = set().union(*(imported(path) for name, path in MODULES.items() if name.startswith(package)))
    assert names <= declared() | declared(extra), names - declared() - declared(extra)


def test_training_imports_what_its_extra_declares():
    names = set().union(*(imported(MODULES[name], at_import_time=True) for name in MODULES if trains(name)))
    assert names <= declared() | declared("train"), names - declared() - declared("train")


def test_extras_declare_nothing_that_is_not_used():
    used = set().union(
        *(imported(path) for folder in (*OURS, "scripts", "tests") for path in (ROOT / folder).rglob("*.py"))
    )
    # Programs, and what LPIPS gets its network from.
    used |= {"mkdocs", "mkdocs-material", "mkdocstrings", "mypy", "pytest-xdist", "ruff", "torchvision"}
    for extra in PROJECT["optional-dependencies"]:
        unused = {name for name in declared(extra) - used - {"fd2talk"} if not name.startswith("types-")}
        assert not unused, (extra, unused)


def test_scripts_and_tests_import_what_some_extra_declares():
    every = declared().union(*(declared(extra) for extra in PROJECT["optional-dependencies"]))
    for folder in ("scripts", "tests"):
        names = set().union(*(imported(path) for path in (ROOT / folder).rglob("*.py")))
        names -= (
            HELPERS
            | {path.stem for path in (ROOT / "scripts").glob("*.py")}
            | {"tests", "tomli", "setuptools", "a_package_that_is_nowhere"}
        )
        assert names <= every, (folder, names - every)


def test_every_python_of_today_and_both_kinds_of_mediapipe():
    lines = [line.replace(" ", "") for line in PROJECT["dependencies"]]
    assert PROJECT["requires-python"] == ">=3.10"
    assert "mediapipe==0.10.21;python_version<'3.13'" in lines and "mediapipe>=1.2;python_version>='3.13'" in lines
    assert "numpy>=1.26" in lines


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is in version control, or would be."""
    copy = tmp_path_factory.mktemp("build") / "fd2talk"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*OURS, "assets", "configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


# Archives of 40 MB of weights: what is in them counts, not how small they are.
BUILD = """
import sys, zlib
import setuptools.build_meta
compressobj = zlib.compressobj
zlib.compressobj = lambda level, *arguments: compressobj(0, *arguments)
print(getattr(setuptools.build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""


def build(checkout, kind, target):
    pytest.importorskip("setuptools", minversion="68")
    command = [sys.executable, "-c", BUILD, kind, target]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return target / done.stdout.split()[-1]


def outside(folder, cwd, *arguments, **settings):
    """Run Python with the packages in `folder` before any others, in another place than the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **settings}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, env=environment)


def test_the_wheel_works_outside_the_checkout(checkout, tmp_path):
    """Built from the source archive, as `pip install fd2talk.tar.gz` does: both hold everything."""
    with tarfile.open(build(checkout, "sdist", tmp_path)) as archive:
        archive.extractall(tmp_path / "sdist", **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    source = next((tmp_path / "sdist").iterdir())
    with zipfile.ZipFile(build(source, "wheel", tmp_path)) as archive:
        archive.extractall(tmp_path / "site")
    installed = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.py")}
    assert {path.relative_to(ROOT).as_posix() for path in FILES} <= installed
    for name in ("assets", "configs"):
        files = {path.relative_to(ROOT / name) for path in (ROOT / name).rglob("*") if path.is_file()}
        kept = tmp_path / "site" / "shared" / name
        missing = {path for path in files if not (kept / path).is_file()}
        assert not missing
    code = "import fd2talk, shared.weights as w, numpy as np; print(fd2talk.__file__, w.bundled('demo'))\n"
    code += "audio = fd2talk.read_audio(w.bundled('demo') / 'sense_and_sensibility_01_austen_64kb-0880.wav')[:3200]\n"
    code += "pipeline = fd2talk.TalkingHeadPipeline.from_pretrained()\n"
    code += "talk = pipeline(w.bundled('demo/portrait_man.jpg'), audio, max_size=256)\n"
    code += "talk.save('talk.mp4'); import sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = outside(tmp_path / "site", tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count(str(tmp_path / "site")) == 2 and (tmp_path / "talk.mp4").stat().st_size > 2000
    # Each of these would delay the first frame, the first by three seconds.
    modules = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not modules & {"transformers", "accelerate", "diffusers", "jax", "jaxlib", "lpips", "torchvision", "skimage"}


def pythons(folder, **versions):
    """Programs that answer as Pythons of these versions would; 0 is one that is not allowed."""
    for name, allowed in versions.items():
        path = folder / name.replace("_", ".")
        path.write_text(f"#!/bin/sh\nexit {0 if allowed else 1}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ({"python3": 1, "python3_12": 1, "python3_13": 1}, "python3.12"),
        ({"python3": 1, "python3_10": 1, "python3_14": 1}, "python3.10"),
        ({"python3": 0, "python3_13": 1, "python3_14": 1}, "python3.13"),
        ({"python3": 1}, "python3"),
        ({"python3": 0}, ""),
    ],
)
@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_prefers_the_pythons_that_need_no_download(tmp_path, present, chosen):
    pythons(tmp_path, **present)
    (tmp_path / "show.mk").write_text(f"include {ROOT}/Makefile\nshow:\n\t@echo '$(PYTHON)'\n")
    for name in ("sh", "echo"):
        (tmp_path / name).symlink_to(shutil.which(name))
    make = shutil.which("make")
    done = subprocess.run(
        [make, "-s", "-f", tmp_path / "show.mk", "show"], capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.stdout.strip() == chosen, done.stderr


# Like a container: a read-only tree, one folder that can be written to, and a user who is not root. (The capability
# only lets that user read what root may read, such as a Python in root's home.)
CONTAINER = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=1777 tmpfs "$WRITABLE"
cp "$PHOTO" "$WRITABLE/photo.jpg" && cp "$SPEECH" "$WRITABLE/speech.wav"
mount -o remount,bind,ro /
cd "$WRITABLE"
caps=-all,+dac_read_search
who='--reuid 10001 --regid 10001 --clear-groups'
exec setpriv $who --inh-caps $caps --ambient-caps $caps --bounding-set $caps -- "$@"
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")),
    reason="needs root, who may mount read-only and become another user",
)
def test_the_image_s_command_needs_neither_root_nor_a_tree_that_can_be_written_to(tmp_path):
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    image = dict(line.split(" ", 1) for line in lines if line[:1].isupper())
    assert image["USER"].split(":")[0] not in ("0", "root") and image["ENTRYPOINT"] == '["fd2talk"]'
    copied = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert copied >= {*OURS, "assets", "configs", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    writable = tmp_path / "tmp"
    writable.mkdir()
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
        file.writeframes(bytes(6400))
    settings = dict(pair.replace("/tmp", str(writable)).split("=") for pair in image["ENV"].split())
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings}
    environment |= {"WRITABLE": writable, "SPEECH": tmp_path / "speech.wav"}
    environment |= {"PHOTO": ROOT / "assets" / "demo" / "portrait_man.jpg"}
    environment |= {name: os.environ[name] for name in ("FD2TALK_MODELS",) if name in os.environ}
    code = "import os, sys; assert os.getuid() == 10001 and not os.access(sys.argv[1], os.W_OK)\n"
    code += "from fd2talk.cli import main; code = main(sys.argv[2:]); print(os.listdir()); sys.exit(code)"
    command = ["generate", "photo.jpg", "speech.wav", "-o", "talk.mp4", "--max-size", "256", "--renderer", "geometry"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", CONTAINER, "sh", sys.executable, "-c", code, ROOT, *command],
        capture_output=True,
        text=True,
        env=environment,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"mounts are not allowed here: {done.stderr.strip()}")
    assert done.returncode == 0 and "'talk.mp4'" in done.stdout, done.stderr
    assert said(done.stderr) == ["fd2talk: note: nothing is spoken in the recording, so that the mouth rests"]
    assert "talk.mp4" in done.stdout.splitlines()[0]
