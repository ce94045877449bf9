"""Many videos from one `Generator`."""

import shutil
import threading

import numpy as np
import pytest
from material import portrait

from fd2talk import generation
from fd2talk.generation import Generator
from fd2talk.request import request_from
from shared.errors import InputError, UsageError
from shared.media import read_video
from stage2_render.pipeline import RenderPipeline

pytestmark = pytest.mark.usefixtures("sine")


@pytest.fixture
def counted(monkeypatch):
    """How often photos are fitted and renderers loaded."""
    counts = {"fit_photo": 0, "load": 0}
    fit, load = generation.fit_photo, RenderPipeline.from_pretrained

    def counting(name, function):
        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(generation, "fit_photo", counting("fit_photo", fit))
    monkeypatch.setattr(RenderPipeline, "from_pretrained", counting("load", load))
    return counts


def frames(path):
    return np.stack(list(read_video(path))).astype(int)


def test_what_is_needed_again_is_loaded_once(tmp_path, photo, audio, counted):
    generator = Generator()
    plain, still, again = ({"renderer": "geometry", "still": still} for still in (False, True, False))
    for name, values in (("a", plain), ("b", still), ("c", again)):
        generator.write(request_from(str(photo), str(audio), values), tmp_path / f"{name}.mp4")
    assert counted == {"fit_photo": 1, "load": 1}
    a, b, c = (frames(tmp_path / f"{name}.mp4") for name in "abc")
    assert np.array_equal(a, c) and np.abs(a - b).mean() > 0.5


def test_a_photo_that_has_changed_is_fitted_again(tmp_path, photo, audio, counted):
    mine, generator = tmp_path / "mine.png", Generator()
    shutil.copy(photo, mine)
    wanted = request_from(str(mine), str(audio), {"renderer": "geometry"})
    generator.write(wanted, tmp_path / "a.mp4")
    portrait().transpose(0).save(mine)  # mirrored
    generator.write(wanted, tmp_path / "b.mp4")
    assert counted == {"fit_photo": 2, "load": 1}
    assert np.abs(frames(tmp_path / "a.mp4") - frames(tmp_path / "b.mp4")).mean() > 2


def test_it_is_the_video_of_the_command(run, tmp_path, photo, audio):
    Generator().write(request_from(str(photo), str(audio), {"crop": True, "seed": 2}), tmp_path / "a.mp4")
    assert run("generate", photo, audio, "-o", tmp_path / "b.mp4", "--crop", "--seed", 2)[0] == 0
    assert np.array_equal(frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4"))


def test_progress_is_told_and_can_end_the_work(tmp_path, photo, audio):
    told = []
    wanted = request_from(str(photo), str(audio), {"renderer": "geometry"})
    Generator().write(wanted, tmp_path / "a.mp4", progress=lambda *facts: told.append(facts))
    rendered = [facts for facts in told if facts[0] == "rendering"]
    assert rendered == [("rendering", number, 10) for number in range(1, 11)]

    class Enough(Exception):
        pass

    def stop(what, done, total):
        if what == "rendering" and done == 3:
            raise Enough

    with pytest.raises(Enough):
        Generator().write(wanted, tmp_path / "b.mp4", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_bad_request_leaves_the_generator_as_it_was(tmp_path, photo, audio):
    generator = Generator()
    with pytest.raises(InputError):
        generator.write(request_from(str(audio), str(audio), {}), tmp_path / "a.mp4")
    with pytest.raises(InputError, match="cannot read"):
        generator.write(request_from(str(photo), str(audio), {"pose-from": "no.npz"}), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
    generator.write(request_from(str(photo), str(audio), {"renderer": "geometry"}), tmp_path / "a.mp4")
    with pytest.raises(UsageError, match="already exists"):
        generator.write(request_from(str(photo), str(audio), {}), tmp_path / "a.mp4")
    assert len(frames(tmp_path / "a.mp4")) == 10


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_is_the_caller_s_own(tmp_path, photo, audio, threads):
    working = set()

    def watch(what, done, total):
        working.update(thread.name.split("_")[0] for thread in threading.enumerate())

    path = tmp_path / "a.mp4"
    Generator(threads=threads).write(request_from(str(photo), str(audio), {}), path, progress=watch)
    assert bool({"warp", "paint"} & working) == (threads == 2)
    assert f"threads={threads} ".encode() in path.read_bytes()  # as x264 notes it
