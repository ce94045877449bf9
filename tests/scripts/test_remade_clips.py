"""Figures of clips that a tiny 3DiFACE generates anew, and the tables of settings."""

import numpy as np
import pytest
from demo import demo_speech
from held_out_clips import HeldOut
from remade_clips import FIGURES, KeptFeatures, Setting, Table, figures, own_sound, remade, with_interval

from shared.face_model import load_bundled
from shared.motion import Motion
from stage1_motion.pipeline import MotionPipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    from tiny_diface import write_diface

    return MotionPipeline.from_pretrained(write_diface(tmp_path_factory.mktemp("diface")))


@pytest.fixture(scope="module")
def clip():
    model, random = load_bundled(), np.random.default_rng(0)
    moving = [0.3 * random.normal(size=(30, size)).astype(np.float32) for size in (model.num_expression, 3, 3)]
    identity = random.normal(size=model.num_identity).astype(np.float32)
    motion = Motion(*moving, model.fingerprint, audio=demo_speech()[:19100], identity=identity,
                    confidence=np.ones(30, np.float32))  # fmt: skip
    return HeldOut("clip", "person", motion, None, 0)


def test_kept_frames_stay_and_others_differ_between_samples(pipeline, clip):
    kept = np.arange(30) % 10 == 3
    made, leaked, generated = remade(pipeline, clip, Setting("keys", kept=lambda c: kept), 2)
    assert made.shape == (2, 30, pipeline.face_model.num_expression) and np.array_equal(generated, ~kept)
    assert all(np.array_equal(sample[kept], clip.motion.expression[kept]) for sample in made)
    assert np.abs(made[0] - made[1])[generated].max() > 1e-3
    assert leaked.shape == made.shape and np.abs(leaked[0] - leaked[1])[kept].max() < 1e-6
    assert np.abs(leaked[0] - leaked[1])[generated].max() > 1e-4  # heads differ
    nothing, _, everything = remade(pipeline, clip, Setting("nothing"), 1)
    assert everything.all() and np.abs(nothing[0] - clip.motion.expression)[kept].max() > 1e-3


def test_another_sound_is_heard(pipeline, clip):
    silent, *_ = remade(pipeline, clip, Setting("", sound=lambda c: 0 * own_sound(c.motion)), 1)
    heard, *_ = remade(pipeline, clip, Setting(""), 1)
    assert len(own_sound(clip.motion)) == 30 * 640 and np.abs(silent - heard).max() > 1e-4


def test_figures_are_those_of_the_meshes(clip):
    model, motion = load_bundled(), clip.motion
    lips = model.groups["lips"]
    step = np.zeros(model.num_expression, np.float32)
    step[2] = 1.0
    moves = np.linalg.norm(model.exp_basis[2], axis=-1)  # [N], of a coefficient of 1
    made, generated = np.stack([motion.expression] * 2), np.ones(30, bool)
    made[1, :15] += 2 * step
    generated[10:] = False
    leaked = np.zeros_like(made)
    leaked[1, :15] += step
    found = dict(zip([*FIGURES, "apart"], figures(model, motion, made, leaked, generated)))
    half = 2 * moves / 2  # of the second sample's frames
    assert found["Div^E"] == pytest.approx(half.mean(), rel=1e-4)
    assert found["Div^E, still head"] == pytest.approx(half.mean() / 2, rel=1e-4)
    assert found["L2-face"] == pytest.approx(half.mean() / 2, rel=1e-4)
    assert found["L2-lip"] == pytest.approx(half[lips].mean() / 2, rel=1e-4)
    assert found["Lip-max"] == pytest.approx(half[lips].max() / 2, rel=1e-4)
    assert found["apart"] == pytest.approx((0 + 2 * moves[lips].max()) / 2, rel=1e-4)
    assert 0 < found["Lip-Sync"] <= found["L2-lip"]


def test_changes_are_paired_over_clips(capsys):
    """Clips differ more than settings do."""
    first = np.array([[1.0, 3, 5, 7, 9, 0], [2.0, 13, 25, 7, 9, 0], [3.0, 23, 45, 7, 9, 0]])
    second, third = first.copy(), first.copy()
    second[:, 1] += [0.5, 0.6, 0.7]
    third[:, 2] -= [1.0, 1.0, 1.0]
    third[:, 0] = np.nan  # of one sample
    table = Table("T", "setting")
    for name, values in (("a", first), ("b", second), ("c", third)):
        table.row(name, values)
    lines = capsys.readouterr().out.splitlines()[3:]  # below the title
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    columns = {name: at for at, name in enumerate(rows[0])}
    half = 4.302653 * 0.1 / np.sqrt(3)
    b, c = rows[3], rows[4]
    assert b[columns["Lip-Sync, less first row"]] == b[columns["Lip-Sync, less row above"]] == f"+0.600 ± {half:.3f}"
    assert c[columns["Lip-Sync, less first row"]] == "+0.000 ± 0.000" and c[columns["Div^E"]] == ""
    assert c[columns["Lip-Sync, less row above"]] == f"-0.600 ± {half:.3f}"
    assert c[columns["Lip-max, less row above"]] == "-1.000 ± 0.000"
    assert with_interval(np.array([1.0, 2.0, 3.0]), 1) == f"2.0 ± {4.302653 / np.sqrt(3):.1f}"


def test_a_recording_is_heard_once(pipeline):
    calls = []
    fake = type("", (), {"frontend": None})()
    fake.frontend = type("", (), {"encoder": "e", "__call__": lambda self, audio: calls.append(1) or audio.sum()})()
    kept = KeptFeatures(fake)
    assert fake.frontend is kept and kept.encoder == "e"
    one, other = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert [kept(one), kept(other), kept(one.copy())] == [3, 0, 3] and len(calls) == 2
