"""Both stages are loaded once, by whoever needs them; those who come meanwhile wait."""

import threading
import time

import pytest

from fd2talk.pipelines import Pipelines
from shared.errors import InputError
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline


@pytest.fixture
def loaded(monkeypatch):
    """What is loaded, in the place of loading it: (stage, weights, arguments)."""
    calls = []

    def loader(stage):
        def load(weights="bundled", **options):
            calls.append((stage, weights, options))
            if weights == "none":
                raise InputError("none: there are no weights")
            time.sleep(0.05)
            return object()

        return load

    monkeypatch.setattr(MotionPipeline, "from_pretrained", loader("motion"))
    monkeypatch.setattr(RenderPipeline, "from_pretrained", loader("renderer"))
    return calls


def test_each_is_loaded_once_with_what_it_was_asked_for_with(loaded):
    pipelines = Pipelines("folder", "cuda")
    first = pipelines.motion(model="diface", person=None)
    assert pipelines.motion(person=None, model="diface") is first and pipelines.motion(model="fd2talk") is not first
    assert pipelines.renderer(renderer="repair") is pipelines.renderer(renderer="repair")
    assert loaded == [
        ("motion", "folder", {"model": "diface", "person": None, "device": "cuda"}),
        ("motion", "folder", {"model": "fd2talk", "device": "cuda"}),
        ("renderer", "folder", {"renderer": "repair", "device": "cuda"}),
    ]


def test_several_threads_wait_for_the_one_that_loads(loaded):
    pipelines, got, ready = Pipelines(), [], threading.Barrier(8)

    def ask():
        ready.wait()
        got.append(pipelines.renderer(renderer="geometry"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1 and len({id(one) for one in got}) == 1 and len(got) == 8


def test_what_cannot_be_loaded_is_said_every_time(loaded):
    pipelines = Pipelines("none")
    for _ in range(2):
        with pytest.raises(InputError, match="no weights"):
            pipelines.motion(model="fd2talk")
    assert len(loaded) == 2


def test_a_number_of_each_can_be_kept(loaded):
    pipelines = Pipelines(most=1)
    for model in ("fd2talk", "diface", "fd2talk"):
        pipelines.motion(model=model)
        pipelines.renderer(renderer="repair")
    assert [stage for stage, *_ in loaded].count("motion") == 3
    assert [stage for stage, *_ in loaded].count("renderer") == 1
