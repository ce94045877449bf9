"""The interface is wide enough for models that differ: three of twenty lines, used through the public API alone."""

import numpy as np
import pytest
import torch
import yaml
from material import SPEECH
from one_process import in_this_process
from PIL import Image

import fd2talk
from fd2talk import cli
from shared.checkpoint import save_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model.measures import lip_gap
from shared.video_writer import VideoWriter
from shared.weights import bundled
from stage1_motion.interface import Constraint, Tail
from stage1_motion.registry import MODELS, model_module, training_module
from stage1_motion.style import Style

OWN = ("sway", "vertices_at_30", "continuing")


@pytest.fixture(scope="module")
def audio():
    return fd2talk.read_audio(SPEECH)[8000:24000]


@pytest.fixture(scope="module")
def image():
    return np.asarray(Image.open(bundled("demo/portrait_woman.jpg")).resize((256, 256)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Each model trained for a step by `fd2talk train`: name -> its folder of weights."""
    folders = {}
    for name in OWN:
        folder = tmp_path_factory.mktemp(name)
        config = {"model": f"motion_models.{name}", "training": {"output": str(folder / "run"), "max_steps": 1}}
        if name == "sway":
            config["settings"] = {"style": "../../style.npz"}
            Style(np.array([1.0], np.float32), "motion_models.sway").save(folder / "style.npz")
        (folder / "train.yaml").write_text(yaml.safe_dump(config))
        assert cli.main(["train", str(folder / "train.yaml")]) == 0
        folders[name] = folder / "run" / "best"
    return folders


@pytest.mark.parametrize("name", OWN)
def test_it_edits_although_it_knows_of_no_constraint(trained, audio, name):
    """What it generates, at its own frame rate, is bent to what stays."""
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained[name])
    motion, still = pipeline(audio, seed=1), np.arange(25) % 10 < 3
    motion.translation[:, 0] += 0.1  # so that kept frames are not what the model generates
    motion.expression += 0.3 * np.sin(np.arange(25)[:, None] / 4).astype(np.float32)
    edited = pipeline.edit(motion, None, Constraint(motion, still), seed=2)
    for key in ("expression", "rotation", "translation"):
        assert np.array_equal(getattr(edited, key)[still], getattr(motion, key)[still])
    steps = np.abs(np.diff(edited.expression, axis=0)).max(1)
    assert np.isfinite(edited.expression).all() and (edited.expression != motion.expression).any(1)[~still].all()
    assert steps.max() < 3 * max(np.abs(np.diff(motion.expression, axis=0)).max(), 0.1)


@pytest.mark.parametrize("name", OWN)
def test_it_generates_and_renders(trained, audio, image, name, tmp_path):
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained[name])
    render = fd2talk.RenderPipeline.from_pretrained(renderer="geometry")
    photo = fd2talk.PhotoFit.fit(image)
    motion = pipeline(audio, photo=photo, seed=1)
    assert len(motion) == 25 and motion.fps == 25 and motion.source.startswith(f"motion_models.{name}, seed 1")
    motion.save(tmp_path / "m.npz")
    frames = list(render(photo, fd2talk.Motion.load(tmp_path / "m.npz").slice(0, 3)))
    assert len(frames) == 3 and frames[0].shape == (256, 256, 3)


def test_a_style_is_needed_and_heeded(trained, audio, tmp_path):
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained["sway"])
    assert pipeline.style.vector == 1.0
    slow, fast = (pipeline(audio, style=Style(np.array([f], np.float32), "")).rotation[:, 1] for f in (0.5, 3.0))
    assert np.abs(np.diff(fast)).mean() > 3 * np.abs(np.diff(slow)).mean()
    pipeline.style = None
    with pytest.raises(UsageError, match="needs a style"):
        pipeline(audio)


def test_vertices_at_another_rate_become_coefficients(trained, audio, image):
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained["vertices_at_30"])
    photo = fd2talk.PhotoFit.fit(image)
    rules = fd2talk.PostProcessing(blinks=False, gaze=False, ease=False)
    motion = pipeline(audio, photo=photo, postprocessing=rules)
    features = pipeline.frontend(audio).at(30).features.mean(1)
    wanted = 2 * (features - features.min())[[0, 6, 12, 24]]  # 0, 0.2, 0.4 and 0.8 s
    gap = lip_gap(photo.vertices(motion.expression)) - lip_gap(photo.vertices(0 * photo.expression))
    assert np.allclose(gap[[0, 5, 10, 20]], wanted, atol=0.05)
    assert np.allclose(motion.rotation, photo.rotation, atol=1e-5)  # no pose: a still head


def test_a_tail_is_continued_and_a_person_has_weights(trained, audio, tmp_path):
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained["continuing"])
    count = pipeline.face_model.num_expression
    before = Tail(np.zeros((3, count)), np.full((3, 6), 0.3), np.zeros((3, 0)))
    rules = fd2talk.PostProcessing(ease=False)
    alone, continued = (pipeline(audio, tail=tail, postprocessing=rules) for tail in (None, before))
    assert np.allclose(continued.translation - alone.translation, 0.3 * pipeline.model.articulation.head_std / 0.035)
    gain = torch.full((1, 1), 3 * pipeline.model.gain)
    save_checkpoint(tmp_path / "gain.safetensors", "gain", {"weight": gain}, half=False)
    lively = fd2talk.MotionPipeline.from_pretrained(trained["continuing"], person=tmp_path)(audio, postprocessing=rules)
    moved = [np.ptp(motion.translation[:, 0]) for motion in (lively, alone)]
    assert moved[0] == pytest.approx(3 * moved[1], rel=1e-3)


@pytest.mark.parametrize("name", OWN)
def test_it_is_evaluated(trained, image, audio, name, tmp_path, monkeypatch):
    if name != OWN[0]:  # once in another process, which finds the model too
        monkeypatch.setattr("fd2talk.evaluation.runner.in_processes", in_this_process)
    clips = tmp_path / "clips"
    clips.mkdir()
    with VideoWriter(clips / "one.mp4", (256, 256), audio=audio) as writer:
        for _ in range(25):
            writer.write(image)
    report = tmp_path / "report"
    arguments = ["evaluate", "bundled", "--weights", trained[name], "--reference", clips, "--metrics", "head_diversity"]
    assert cli.main([*map(str, arguments), "-o", str(report), "--workers", "1"]) == 0
    assert (report / "report.json").exists()


def test_what_a_model_does_not_take_is_refused(trained, audio):
    pipeline = fd2talk.MotionPipeline.from_pretrained(trained["continuing"])
    with pytest.raises(UsageError, match="motion_models.continuing takes no style"):
        pipeline(audio, style=Style(np.ones(8, np.float32), "another"))
    with pytest.raises(UsageError, match="eta is a number from 0 to 1"):
        pipeline(audio, options=fd2talk.SamplingOptions(eta=2))
    with pytest.raises(UsageError, match="steps is a number from 1 to 1000"):
        pipeline(audio, options=fd2talk.SamplingOptions(steps=0))


def test_names():
    assert set(MODELS) == {"fd2talk", "diffposetalk", "diface", "facepolicy", "ridge"}
    for name in MODELS:
        assert callable(model_module(name).load)
        assert hasattr(training_module(name), "build_task") or hasattr(training_module(name), "run")
    for name in ("nobody", "no.such.package", "os.path", "motion_models", ".", ""):
        with pytest.raises(InputError, match="there is no motion model"):
            model_module(name)
