from importlib.metadata import version

import pytest
from material import SineStage, portrait

from fd2talk.dependencies import Unmet
from shared.errors import Fd2TalkError


def small(monkeypatch):
    """The trial with a small picture and without stage one's networks."""
    import numpy as np

    # In this order: a module imported while the other one is patched would keep the stand-in.
    monkeypatch.setattr("fd2talk.pipeline.MotionPipeline", SineStage)
    monkeypatch.setattr("shared.media.read_image", lambda _: np.asarray(portrait()))
    monkeypatch.setattr("fd2talk.commands.doctor._SECONDS", 0.1)


def test_what_works_is_listed_with_versions_and_speed(run, monkeypatch):
    small(monkeypatch)
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("fd2talk ") and "WRONG" not in out
    assert [line.split(":")[0].split()[1] for line in lines if line.startswith("  ok  ")] == [
        "packages", "device", "models", "photo", "speed"
    ]  # fmt: skip
    assert f"mediapipe {version('mediapipe')}" in out and "ms a frame" in lines[-1]


@pytest.mark.situation(
    "Surroundings",
    "optional packages that are missing",
    "`fd2talk doctor` lists them, with what they are for",
)
def test_missing_extras_are_named_with_what_they_are_for(run, monkeypatch):
    small(monkeypatch)
    monkeypatch.setattr("fd2talk.commands.doctor.find_spec", lambda name: None)
    code, out, _ = run("doctor")
    assert code == 0  # they are optional
    for module, extra in {"face_alignment": "faces", "transformers": "encoders", "onnxruntime": "metrics"}.items():
        line = next(line for line in out.splitlines() if f"optional: {module} is not installed" in line)
        assert extra in line and "pip install" in line


def test_a_package_that_does_not_fit_and_what_to_do(run, monkeypatch):
    small(monkeypatch)
    problem = Unmet("a 1 needs b<5, but b 6 is installed", 'pip install "b<5"')
    monkeypatch.setattr("fd2talk.commands.doctor.unmet_requirements", lambda: [problem])

    def broken(*_, **__):
        raise Fd2TalkError("the face tracker does not work")

    monkeypatch.setattr("shared.photo_fit.track_face", broken)
    code, out, err = run("doctor")
    assert (code, err) == (1, "")
    assert 'WRONG packages: a 1 needs b<5, but b 6 is installed: pip install "b<5"\n' in out
    assert "WRONG photo: " in out and out.endswith('photo: try pip install "b<5"\n')


def test_a_device_that_is_not_there(run):
    code, out, _ = run("doctor", "--device", "cuda:99")
    assert code == 1 and "WRONG device: UsageError: the device 'cuda:99' is not available" in out
