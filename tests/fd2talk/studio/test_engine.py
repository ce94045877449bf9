"""The studio's pipelines: which ones are asked for; that each is loaded once is tests/fd2talk/test_pipelines.py."""

import pytest

from fd2talk.studio.engine import RENDERERS, Engine
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.registry import BUNDLED
from stage2_render.pipeline import RenderPipeline


class Loaded:
    name = "my model"

    def __init__(self, weights, options):
        self.weights, self.options = str(weights), options


@pytest.fixture
def loaded(monkeypatch):
    calls = []

    def load(weights="bundled", **options):
        calls.append(Loaded(weights, options))
        return calls[-1]

    monkeypatch.setattr(MotionPipeline, "from_pretrained", load)
    monkeypatch.setattr(RenderPipeline, "from_pretrained", load)
    return calls


def test_all_bundled_models_can_be_chosen_and_are_kept(loaded):
    engine = Engine(device="cuda")
    assert engine.models == BUNDLED and not loaded
    assert engine.speech_to_motion().options == {"model": BUNDLED[0], "device": "cuda"}
    first = [engine.speech_to_motion(name) for name in BUNDLED]
    assert [one.options["model"] for one in first] == [*BUNDLED]
    assert [engine.speech_to_motion(name) for name in BUNDLED] == first and len(loaded) == len(BUNDLED)
    assert engine.renderer().options == {"renderer": RENDERERS[0], "device": "cuda"}
    assert engine.renderer("geometry") is engine.renderer("geometry") is not engine.renderer()


def test_a_folder_of_weights_has_one_model(loaded):
    engine = Engine("my weights")
    assert engine.models == ("my model",) == engine.models
    assert engine.speech_to_motion() is engine.speech_to_motion("fd2talk") is loaded[0] and len(loaded) == 1
    assert (loaded[0].weights, loaded[0].options) == ("my weights", {"device": "cpu"})
    assert engine.renderer().weights == "my weights"
