"""The baseline: its arithmetic, its bundled weights, and a training on motion that follows loudness."""

import csv

import numpy as np
import pytest
import torch

from fd2talk.commands.train import train_config
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.media import frame_count, read_audio, read_image
from shared.metrics.lips import best_lag_correlation
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.dataset import Clip
from stage1_motion.models.ridge.model import BANDS, CONTEXT, LogMel, Ridge, with_context
from stage1_motion.models.ridge.training import Moments
from stage1_motion.pipeline import MotionPipeline

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"


@pytest.fixture(scope="module")
def pipeline():
    return MotionPipeline.from_pretrained(bundled("ridge"))


@pytest.fixture(scope="module")
def photo(pipeline):
    return PhotoFit.fit(read_image(bundled("demo/portrait_man.jpg")), pipeline.face_model)


@pytest.fixture(scope="module")
def audio():
    return read_audio(bundled(SPEECH))


def loudness(audio):
    blocks = np.pad(audio, (0, 640 * frame_count(len(audio)) - len(audio))).reshape(-1, 640)
    return np.sqrt(np.square(blocks).mean(1))


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000])
def test_features_have_a_frame_for_each_frame(samples):
    features = LogMel()(np.zeros(samples, np.float32))
    assert features.shape == (frame_count(samples), BANDS) and features.dtype == np.float32


def test_features_are_where_the_sound_is():
    audio = np.zeros(16000, np.float32)
    audio[8000:8160] = np.sin(np.arange(160))  # 0.5 s to 0.51 s: frame 12.5
    assert LogMel()(audio).max(1).argmax() in (12, 13)


def test_context_is_in_order_and_the_ends_go_on():
    frames = with_context(torch.arange(30.0)[:, None])
    assert frames.shape == (30, 2 * CONTEXT + 1)
    assert frames[15].tolist() == list(range(5, 26))
    assert frames[0].tolist() == [0] * 11 + list(range(1, 11))


def test_closed_form_finds_a_linear_rule_and_a_penalty_shrinks_it():
    rng = np.random.default_rng(0)
    rule = rng.normal(size=(BANDS, 3))
    clips = []
    for person in "ab":
        speech = rng.normal(size=(900, BANDS)).astype(np.float32)
        before = speech[np.maximum(np.arange(900) - 2, 0)]
        made = (before @ rule + 5).astype(np.float32)  # what was heard 80 ms before, and a constant
        clips.append(Clip(person, person, None, speech, made, made[:, :2], 1.0, 1.0))
    moments = Moments(clips)
    exact, shrunk = moments.solve(1e-6), moments.solve(1.0)
    x = with_context(torch.from_numpy(clips[0].speech))
    np.testing.assert_allclose(exact(x)[:, :3], clips[0].expression, atol=0.01)
    weight = exact.weight.view(5, 2 * CONTEXT + 1, BANDS)
    np.testing.assert_allclose(weight[:3, CONTEXT - 2], rule.T, atol=0.01)
    assert 0.3 < shrunk.weight.norm() / exact.weight.norm() < 0.7
    # The constant is not shrunk.
    np.testing.assert_allclose(shrunk(x).mean(0), 5, atol=0.5)


def test_the_mouth_follows_the_sound(pipeline, photo, audio):
    motion = pipeline(audio, photo=photo, seed=3)
    assert len(motion) == frame_count(len(audio))
    gap = lip_gap(photo.vertices(motion.expression))
    assert gap.std() > 0.8 and gap.max() < 25
    smooth = np.convolve(loudness(audio), np.ones(3) / 3, "same")
    right = best_lag_correlation(gap, smooth)[0]
    assert right > 0.3 and right > best_lag_correlation(np.roll(gap, len(gap) // 2), smooth)[0] + 0.2


def test_the_seed_moves_the_eyes_alone(pipeline, photo, audio):
    one, same, other = (pipeline(audio, photo=photo, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.expression, same.expression)
    assert np.array_equal(one.rotation, other.rotation) and not np.array_equal(one.expression, other.expression)
    assert np.abs(lip_gap(photo.vertices(one.expression)) - lip_gap(photo.vertices(other.expression))).max() < 0.5


def test_still_keeps_the_head(pipeline, photo, audio):
    assert np.abs(pipeline(audio, photo=photo, still=True).rotation - photo.rotation).max() < 1e-5


@pytest.mark.parametrize("samples", [1, 100, 1600])
def test_very_short_sound(pipeline, samples):
    motion = pipeline(0.1 * np.sin(np.arange(samples) / 5).astype(np.float32))
    assert len(motion) == frame_count(samples) and np.isfinite(motion.expression).all()


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(InputError, match="not the weights of a ridge regression"):
        Ridge.load(tmp_path, load_bundled())
    (tmp_path / "ridge.safetensors").write_bytes(bundled("fd2talk/pose.safetensors").read_bytes())
    with pytest.raises(InputError, match="not the weights of a ridge regression"):
        Ridge.load(tmp_path, load_bundled())


def test_training_from_a_prepared_folder(tmp_path, capsys):
    """Seven people open their mouths as loud as they are; the trained folder is one that the pipeline loads."""
    model, rng = load_bundled(), np.random.default_rng(0)
    prepared = tmp_path / "prepared"
    (prepared / "motions").mkdir(parents=True)
    rows = []
    for index in range(12):
        loud = np.convolve(rng.random(100) ** 3, np.ones(3) / 3, "same")
        audio = np.repeat(loud, 640) * rng.normal(0, 0.2, 64000)
        noise = rng.normal(0, 0.05, (100, 9))
        motion = Motion(
            expression=np.log(loud + 1e-2)[:, None] * 4 * model.extra["open"] + noise[:, :1] * model.extra["blink"],
            rotation=noise[:, 1:4] * 0.1,
            translation=noise[:, 4:7] * 0.1,
            face_model=model.fingerprint,
            audio=audio.astype(np.float32),
            identity=np.zeros(model.num_identity),
        )
        name = f"person_{index}"
        motion.save(prepared / "motions" / f"{name}.npz")
        rows.append({"name": name, "person": name, "split": "val" if index > 9 else "train", "audio": "ok"})
    with open(prepared / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    config = tmp_path / "ridge.yaml"
    config.write_text(f"model: ridge\nprepared: {prepared}\noutput: {tmp_path / 'run'}\n")
    result = train_config(str(config))
    assert result["validation"]["r of val people"] > 0.8
    assert str(tmp_path / "run" / "best") in capsys.readouterr().out
    loaded = MotionPipeline.from_pretrained(tmp_path / "run" / "best")
    assert len(loaded(np.zeros(6400, np.float32))) == 10
