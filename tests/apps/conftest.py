"""Node and Chromium, which `make test-apps` installs; without them these tests are skipped, and in CI they fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PATIENCE = 120_000
"""Milliseconds after which what a page should show or do is missed; long, as other programs may keep the processor."""


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
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
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


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A studio in a process of its own: its address. At the end nothing of it is left."""
    pytest.importorskip("gradio", reason="the extra studio is not installed")
    temporary = tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "fd2talk", "studio", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 128 + signal.SIGTERM
    assert not [*temporary.glob("fd2talk-studio-*")]


@pytest.fixture(scope="session")
def chrome(chromium):
    """Chromium, driven by Playwright, with a camera and a microphone that are none."""
    api = pytest.importorskip("playwright.sync_api", reason="the extra apps is not installed")
    arguments = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    arguments += ["--no-first-run", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    arguments += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        api.expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def open_studio(chrome, studio):
    """Opens the studio in a window; whatever goes wrong in it, or is asked of another host, fails the test.

    Parts of what may go wrong are in its attribute `expected`. A video that a newer one has replaced while the browser
    was loading it is no longer there.
    """
    contexts, problems, missing_videos = [], [], []

    def said(message):
        if message.type != "error":
            return
        url = message.location.get("url", "")
        if "404" in message.text and url.startswith(f"{studio}/studio/files/"):
            missing_videos.append(url)
        else:
            problems.append(message.text)

    def open_studio(width=1280, scheme="light", **options):
        context = chrome.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", said)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((studio, "blob:", "data:")) else problems.append(request.url)
            ),
        )
        page.goto(studio)
        page.wait_for_selector("#generate")
        page.wait_for_function("window.studioPage")  # it asks for what it had before it was loaded
        page.wait_for_timeout(500)  # its components load their scripts
        return page

    yield open_studio
    shown = "".join(page.content() for context in contexts for page in context.pages) if missing_videos else ""
    problems += [url for url in missing_videos if url.removeprefix(studio) in shown]
    for context in contexts:
        context.close()
    expected = getattr(open_studio, "expected", ())
    assert [problem for problem in problems if not any(one in problem for one in expected)] == []


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """A small photo, and two seconds of motion for it."""
    from material import SPEECH, portrait

    from shared.media import read_audio, read_image
    from shared.photo_fit import PhotoFit
    from stage1_motion.pipeline import MotionPipeline

    folder = tmp_path_factory.mktemp("timeline")
    portrait(256).save(folder / "photo.png")
    photo = PhotoFit.fit(read_image(folder / "photo.png"))
    motion = MotionPipeline.from_pretrained()(read_audio(SPEECH)[:32000], photo=photo, seed=3)
    motion.save(folder / "motion.npz")
    return folder


@pytest.fixture
def opened(open_studio, material):
    """Opens the editor in a window of a size, with the material in it."""

    from studio_browser import Timeline

    def opened(width=1280, **options):
        page = open_studio(width, **options)
        page.get_by_role("tab", name="Edit").click()
        page.locator("#edit-open button").first.click()
        page.locator("#edit-photo input[type=file]").set_input_files(material / "photo.png")
        page.wait_for_selector("#edit-photo img")
        page.locator("#edit-motion input[type=file]").set_input_files(material / "motion.npz")
        page.wait_for_selector("#edit-motion [aria-label='motion.npz']")  # it is uploaded
        page.locator("#edit-open-button").click()
        page.wait_for_selector(".tl:not([data-empty])")
        timeline = Timeline(page)
        timeline.drawn()
        return timeline

    return opened
