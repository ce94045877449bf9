"""Results are reused only as long as the code that they come from is the same."""

import subprocess
import sys

import pytest

from fd2talk.evaluation import source_digest
from fd2talk.evaluation.source_digest import code_digest

MEASURING, GENERATING = "fd2talk.evaluation.metrics.clip_metrics", "fd2talk.evaluation.systems"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a package `shared`: write its modules, and return the digest of `shared.a`."""

    def write(**sources):
        for name, text in sources.items():
            (tmp_path / "shared" / f"{name}.py").write_text(text)
        code_digest.cache_clear()
        return code_digest("shared.a")

    (tmp_path / "shared" / "methods").mkdir(parents=True)
    for folder in ("shared", "shared/methods"):
        (tmp_path / folder / "__init__.py").write_text("")
    found = type("Spec", (), {"origin": str(tmp_path / "shared" / "__init__.py")})
    monkeypatch.setattr(source_digest, "find_spec", lambda name: found)
    yield write
    code_digest.cache_clear()


def test_imports_count_and_comments_do_not(project):
    before = project(
        a="import numpy\ndef f():\n    from shared import b\n    return b.c\n", b="import shared.d", d="c = 1"
    )
    assert project(b="import   shared.d  # comment") == before
    assert project(unrelated="x = 1") == before
    after = project(d="c = 2")
    assert after != before
    assert project(d="c = 1") == before
    assert project(__init__="x = 1") != before


def test_what_a_registry_names_counts(project, tmp_path):
    """A registry imports the module `model` of the packages that it names; other modules have no such strings."""
    model = tmp_path / "shared" / "methods" / "model.py"
    model.write_text("x = 1")
    registry = '"""Sentences, too."""\nMODELS = {"own": "shared.methods"}\n'
    before = project(a="from shared.registry import MODELS", registry=registry, other=registry)
    model.write_text("x = 2")
    assert project() != before
    model.write_text("x = 1")
    assert project() == before
    plain = project(a="from shared.other import MODELS")
    model.write_text("x = 2")
    assert project() == plain


def test_measuring_and_generating_are_separate():
    """The renderer generates files, which are measured; its code does not affect how."""
    measuring, generating = (set(source_digest._sources((module,))) for module in (MEASURING, GENERATING))
    assert {"shared.metrics.mesh", "shared.metrics.head", "shared.faces.tracker", "shared.media"} <= measuring
    assert not any(name.startswith("stage2_render") for name in measuring)
    assert {"stage2_render.diffusion.unet", "shared.face_model.fitting"} <= generating
    assert {"stage1_motion.models.fd2talk.model", "stage1_motion.models.ridge.model"} <= generating
    unrelated = ("fd2talk.evaluation.report.html", "fd2talk.commands.train")
    assert not any(name.startswith(unrelated) for name in measuring | generating)


def test_every_motion_model_of_the_registry_counts():
    from stage1_motion.registry import MODELS

    generating = source_digest._sources((GENERATING,))
    assert {f"{package}.model" for package in MODELS.values()} <= set(generating)


def test_every_process_computes_the_same():
    statement = f"from fd2talk.evaluation.source_digest import code_digest; print(code_digest({MEASURING!r}))"
    found = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == code_digest(MEASURING)
