"""Node and Chromium, which `make test-apps` installs; without them these tests are skipped, and in CI they fail."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.apps)


def missing(what):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what}: see `make test-apps`")


@pytest.fixture(scope="session")
def node():
    """Runs a script of this folder and returns the JSON that it prints."""
    if not (shutil.which("node") and (FOLDER / "node_modules").is_dir()):
        missing("node or its packages are not installed")

    def node(script, *arguments):
        command = ["node", FOLDER / script, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return node


@pytest.fixture(scope="session")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    if (found := next(filter(None, map(shutil.which, names)), None)) is None:
        missing("Chromium is not installed")
    return found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browse(node, chromium, pictures):
    """Opens a page in Chromium, at a width and in a colour scheme, and returns what `browse.mjs` found."""

    def browse(url, width, scheme, name):
        return node("browse.mjs", chromium, url, width, scheme, pictures / f"{name}-{width}-{scheme}.png")

    return browse


@pytest.fixture(scope="session")
def show(node, chromium, pictures):
    """Shows a glTF file at some times with three.js, and returns what `show_gltf.mjs` found."""

    def show(path, size, name, *times):
        return node("show_gltf.mjs", chromium, path, size, pictures / f"{name}.png", *times)

    return show
