"""The lip expert learns to tell matching moments."""

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from stage1_motion.lip_expert.network import LipExpert, mouth_basis
from stage1_motion.lip_expert.training import LipExpertTask, sync_auc
from stage1_motion.motion_space import MotionSpace


@pytest.fixture(scope="module")
def model():
    return load_bundled()


class _Clip:
    def __init__(self, name, expression, speech):
        self.name, self.person, self.expression, self.speech = name, name, expression, speech


def test_lip_expert_learns_to_tell_time(model, tmp_path):
    """Speech features that are a fixed mixture of the mouth's motion: the expert must find matching moments."""
    rng = np.random.default_rng(0)
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    basis = mouth_basis(space).numpy()
    mixture = rng.normal(size=(basis.shape[1], 8)).astype(np.float32)
    clips = []
    for k in range(16):
        noise = rng.normal(size=(160, model.num_expression)).astype(np.float32)
        smooth = np.apply_along_axis(lambda c: np.convolve(c, np.ones(5) / 2, "same"), 0, noise).astype(np.float32)
        clips.append(_Clip(f"person{k}", smooth, smooth @ basis @ mixture))
    task = LipExpertTask(clips, space, network={"width": 24, "embedding": 16, "dropout": 0.0})
    assert task.clips and task.development
    optimiser = torch.optim.Adam(task.model.parameters(), lr=3e-3)
    for step in range(60):
        loss, _ = task.loss(task.model, task.batch(torch.Generator().manual_seed(step), 8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    auc = sync_auc(task.model.eval(), task.development)
    assert min(auc.values()) > 0.8
    task.model.save(tmp_path / "e.safetensors")
    expert = LipExpert.load(tmp_path / "e.safetensors")
    clip = task.development[0]
    x, a = torch.from_numpy(clip.expression)[None], torch.from_numpy(clip.speech)[None]
    sync = expert.p_sync(x, a)
    assert sync.shape == (1, 144) and (0 <= sync).all() and (sync <= 1 + 1e-5).all()
    everything = torch.ones(1, 160, 1, dtype=torch.bool)
    late = torch.roll(a, 9, dims=1)
    assert expert.sync_loss(x, a, everything) < expert.sync_loss(x, late, everything)
