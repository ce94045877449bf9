"""Eq. 10 and 11 against loops over windows, and what the lip expert's embeddings see."""

import math

import numpy as np
import pytest
import torch

from shared.errors import InputError
from stage1_motion.lip_expert.network import WINDOW, LipExpert

FRAMES, SPEECH, COEFFICIENTS = WINDOW + 5, 7, 4


@pytest.fixture(scope="module")
def expert():
    torch.manual_seed(0)
    expert = LipExpert(SPEECH, torch.randn(COEFFICIENTS, 3), width=8, embedding=6).eval().requires_grad_(False)
    for parameter in expert.parameters():  # random weights of the usual size hardly distinguish windows
        parameter.mul_(3)
    return expert


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(1)
    return torch.randn(2, FRAMES, COEFFICIENTS), torch.randn(2, FRAMES, SPEECH)


def literal_p_sync(expert, expression, speech):
    """Eq. 10 for one sequence, window by window."""
    v, a = expert.embed_mouth(expression[None])[0], expert.embed_speech(speech[None])[0]
    found = []
    for window in range(len(expression) - WINDOW + 1):
        dot = sum(float(x) * float(y) for x, y in zip(v[window], a[window]))
        norms = [math.sqrt(sum(float(x) ** 2 for x in e[window])) for e in (v, a)]
        found.append(dot / max(norms[0] * norms[1], 1e-6))
    return found


def test_p_sync_is_equation_10(expert, clip):
    found = expert.p_sync(*clip)
    assert found.shape == (2, FRAMES - WINDOW + 1)
    for b in range(2):
        expected = literal_p_sync(expert, clip[0][b], clip[1][b])
        assert np.allclose(found[b], expected, atol=1e-5)
    assert found.std() > 0.01  # the loop and the network do not agree on a constant alone


def test_sync_loss_is_equation_11_over_windows_that_count_completely(expert, clip):
    mask = torch.ones(2, FRAMES, 1, dtype=torch.bool)
    mask[0, :2] = False  # context: the first two windows of the first sequence do not count
    mask[1, -1] = False  # padding: nor does the last of the second
    found = float(expert.sync_loss(*clip, mask))
    losses = []
    for b in range(2):
        for window, probability in enumerate(literal_p_sync(expert, clip[0][b], clip[1][b])):
            if all(mask[b, window + f, 0] for f in range(WINDOW)):
                losses.append(-math.log(max(probability, 1e-3)))
    assert len(losses) == 2 * (FRAMES - WINDOW + 1) - 3
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found > 0  # minus the logarithm of a probability


def test_descending_the_sync_loss_raises_p_sync(expert, clip):
    expression = clip[0].clone().requires_grad_()
    everything = torch.ones(2, FRAMES, 1, dtype=torch.bool)
    expert.sync_loss(expression, clip[1], everything).backward()
    after = clip[0] - 0.05 * expression.grad / expression.grad.norm()
    assert expert.p_sync(after, clip[1]).log().mean() > expert.p_sync(*clip).log().mean()


def test_an_embedding_sees_its_window_alone(expert, clip):
    whole = expert.embed_mouth(clip[0])
    changed = clip[0].clone()
    changed[:, WINDOW:] += 1  # after the first window
    assert torch.equal(expert.embed_mouth(changed)[:, 0], whole[:, 0])
    assert not torch.equal(expert.embed_mouth(changed)[:, 1], whole[:, 1])


def test_no_window_counts_in_a_sequence_without_frames_that_count(expert, clip):
    assert float(expert.sync_loss(*clip, torch.zeros(2, FRAMES, 1, dtype=torch.bool))) == 0


def test_it_is_saved_with_its_header_and_frozen_when_loaded(expert, clip, tmp_path):
    expert.save(tmp_path / "expert.safetensors", note="of a test")
    loaded = LipExpert.load(tmp_path / "expert.safetensors")
    assert not any(p.requires_grad for p in loaded.parameters()) and not loaded.training
    assert torch.allclose(loaded.p_sync(*clip), expert.p_sync(*clip), atol=1e-2)
    with pytest.raises(InputError):
        LipExpert.load(tmp_path / "another.safetensors")
