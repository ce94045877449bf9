"""The baseline: a mean mouth, in sync."""

import numpy as np
import pytest
import torch

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.media import frame_count, read_audio, read_image
from shared.metrics.lips import best_lag_correlation
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.models.ridge.model import CONTEXT, load, with_context
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


def test_context_is_in_order_and_the_ends_go_on():
    frames = with_context(torch.arange(30.0)[:, None])
    assert frames.shape == (30, 2 * CONTEXT + 1)
    assert frames[15].tolist() == list(range(5, 26))
    assert frames[0].tolist() == [0] * 11 + list(range(1, 11))


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
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path, load_bundled())
    (tmp_path / "ridge.safetensors").write_bytes(bundled("fd2talk/pose.safetensors").read_bytes())
    with pytest.raises(InputError, match="weights of kind motion transformer, not ridge regression"):
        load(tmp_path, load_bundled())
