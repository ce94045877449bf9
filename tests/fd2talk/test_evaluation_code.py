"""Figures are kept only as long as the code that they come from."""

import subprocess
import sys

import pytest

from fd2talk.evaluation import source_digest as code
from fd2talk.evaluation.source_digest import code_digest


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of a package `shared`; the digest of its module `shared.a`, computed anew."""

    def write(**sources):
        for name, text in sources.items():
            (tmp_path / "shared" / f"{name}.py").write_text(text)
        code_digest.cache_clear()
        return code_digest("shared.a")

    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("")
    found = type("Spec", (), {"origin": str(tmp_path / "shared" / "__init__.py")})
    monkeypatch.setattr(code, "find_spec", lambda name: found)
    yield write
    code_digest.cache_clear()


def test_what_is_imported_counts_and_comments_do_not(project):
    before = project(
        a="import numpy\ndef f():\n    from shared import b\n    return b.c\n", b="import shared.d", d="c = 1"
    )
    assert project(b="import   shared.d  # said") == before
    assert project(unrelated="x = 1") == before
    after = project(d="c = 2")
    assert after != before
    assert project(d="c = 1") == before
    assert project(__init__="x = 1") != before


def test_what_measures_is_found():
    """The network that paints says nothing of a figure; what it paints is another file."""
    measuring = set(code._sources(("fd2talk.evaluation.metrics.clip_metrics",)))
    assert {"shared.metrics.mesh", "shared.metrics.head", "shared.faces.tracker", "shared.media"} <= measuring
    assert not any(name.startswith("stage2_render") for name in measuring)
    making = set(code._sources(("fd2talk.evaluation.systems",)))
    assert {"stage2_render.diffusion.unet", "stage1_motion.models.fd2talk.model", "shared.face_model.fitting"} <= making
    assert not any(
        name.startswith(("fd2talk.evaluation.report.html", "fd2talk.commands.train")) for name in measuring | making
    )


def test_every_process_finds_the_same():
    statement = "from fd2talk.evaluation.source_digest import code_digest; print(code_digest('fd2talk.evaluation.metrics.clip_metrics'))"  # noqa: E501
    found = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == code_digest("fd2talk.evaluation.metrics.clip_metrics")
