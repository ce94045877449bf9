"""The documentation site in a browser: nothing is missing, and nothing comes from elsewhere."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "out" / "site"


@pytest.fixture(scope="module")
def address():
    """The site on a port of this computer."""
    if not (SITE / "index.html").exists():
        pytest.skip("the site is not built: make docs")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


PAGES = {"": "a fresh clone", "evaluation": "--reference", "reference/fd2talk": "TalkingHeadPipeline",
         "reference/cli": "--expression-scale", "contributing": "make lint"}  # fmt: skip


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (400, "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_pages(browse, address, page, width, scheme):
    seen = browse(f"{address}/{page}", width, scheme, f"site-{page.replace('/', '-') or 'index'}")
    assert seen["problems"] == []
    assert seen["overflow"] <= 0
    assert seen["images"]["visible"] == seen["images"]["count"]
    assert PAGES[page] in seen["text"] and "fd2talk" in seen["title"]
