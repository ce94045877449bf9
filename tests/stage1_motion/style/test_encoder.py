"""The style encoder: eq. 9 against loops, pooling, and what it does not see."""

import math

import numpy as np
import pytest
import torch

from shared.errors import InputError
from shared.face_model import load_bundled
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style.encoder import StyleEncoder, StyleEncoderConfig, StyleReader, nt_xent, smoothed


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    gap, opening = torch.tensor([2.0, 0, 0, 0, 0, 0]), torch.tensor([0.5, 0, 0, 0, 0, 0])
    config = StyleEncoderConfig(6, size=16, layers=2, heads=2, frames=20, shortest=8)
    return StyleEncoder(config, gap, opening).eval()


def motion(frames, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, 6)).astype(np.float32)


def test_equation_9():
    rng = np.random.default_rng(3)
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 5, 4)))
    both = np.concatenate([first, second])
    losses, nearest = [], []
    for i in range(10):
        j = (i + 5) % 10
        similar = {k: float(both[i] @ both[k]) for k in range(10) if k != i}
        losses.append(-math.log(math.exp(similar[j] / 0.1) / sum(math.exp(s / 0.1) for s in similar.values())))
        nearest.append(max(similar, key=similar.get) == j)
    loss, accuracy = nt_xent(torch.from_numpy(first), torch.from_numpy(second), 0.1)
    assert float(loss) == pytest.approx(np.mean(losses)) and float(accuracy) == pytest.approx(np.mean(nearest))


@torch.no_grad()
def test_style_is_a_unit_vector_of_the_frames_that_there_are(encoder):
    clip = torch.from_numpy(motion(20))[None]
    valid = torch.arange(20)[None] < 12
    changed = clip.clone()
    changed[:, 12:] += 3
    style = encoder(clip, valid)
    assert float(style.norm()) == pytest.approx(1)
    assert torch.allclose(style, encoder(changed, valid), atol=1e-5)
    assert torch.allclose(style, encoder(clip[:, :12]), atol=1e-5)
    assert not torch.allclose(style, encoder(clip), atol=1e-3)


@torch.no_grad()
def test_the_mean_is_taken_out_but_for_the_opening_of_the_mouth(encoder):
    """Halves of a clip that was centred have opposite means: they must not be recognised by them."""
    clip = torch.from_numpy(motion(20))[None]
    style = encoder(clip)
    assert torch.allclose(style, encoder(clip + torch.tensor([0, 1.0, -2, 3, 1, 1])), atol=1e-5)
    assert not torch.allclose(style, encoder(clip + torch.tensor([1.0, 0, 0, 0, 0, 0])), atol=1e-3)


def test_smoothing_is_the_mean_of_the_neighbours_that_there_are():
    clip, valid = torch.from_numpy(motion(9))[None], torch.arange(9)[None] < 7
    found = smoothed(clip, valid, 5)[0]
    for frame in range(7):
        neighbours = clip[0, max(frame - 2, 0) : min(frame + 3, 7)]
        assert torch.allclose(found[frame], neighbours.mean(0), atol=1e-6)
    assert not found[7:].any()


@torch.no_grad()
def test_an_encoder_that_smooths_hardly_sees_what_trembles(encoder):
    torch.manual_seed(0)
    config = StyleEncoderConfig(6, size=16, layers=2, heads=2, frames=20, shortest=8, smoothing=5)
    smooth = StyleEncoder(config, encoder.gap, encoder.opening).eval()
    smooth.load_state_dict(encoder.state_dict())
    clip = torch.from_numpy(motion(20).cumsum(0))[None]
    tremble = torch.tensor([1.0, -1.0]).repeat(10)[None, :, None]
    near, far = (float((e(clip) - e(clip + tremble)).norm()) for e in (smooth, encoder))
    assert near < 0.5 * far


@torch.no_grad()
def test_long_motion_is_the_mean_of_windows(encoder):
    clip = motion(50)
    parts = [encoder(torch.from_numpy(clip[start : start + 20])[None])[0] for start in (0, 10, 20, 30)]
    mean = torch.stack(parts).mean(0)
    assert np.allclose(encoder.encode(clip), mean / mean.norm(), atol=1e-5)
    assert np.allclose(encoder.encode(clip[:15]), encoder(torch.from_numpy(clip[:15])[None])[0], atol=1e-6)
    with pytest.raises(InputError, match="7 frames are too few"):
        encoder.encode(clip[:7])


def test_round_trip(tmp_path):
    model = load_bundled()
    std = np.full(model.num_expression, 2, np.float32)
    space = MotionSpace(model, std, np.ones(6, np.float32))
    size = model.num_expression + 6
    rows = (
        torch.from_numpy(np.concatenate([row, np.zeros(6, np.float32)])) for row in (space.gap_row(), space.opening())
    )
    encoder = StyleEncoder(StyleEncoderConfig(size, size=16, layers=1, heads=2), *rows).eval()
    encoder.save(tmp_path / "style_encoder.safetensors", space=space)
    reader = StyleReader.load(tmp_path / "style_encoder.safetensors", model)
    clip = np.random.default_rng(0).normal(size=(60, size)).astype(np.float32)
    assert np.allclose(reader.encoder.encode(clip), encoder.encode(clip), atol=2e-2)  # fp16
    assert np.array_equal(reader.space.expression_std, std) and len(reader.fingerprint) == 16
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="other.safetensors"):
        StyleReader.load(tmp_path / "other.safetensors", model)
