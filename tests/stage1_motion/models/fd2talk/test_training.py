"""Losses of eq. 8 to 12, and one step of training."""

import shutil

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from shared.media import read_audio
from shared.splits import is_development
from shared.training.config import TrainingConfig
from shared.training.loop import train
from shared.weights import bundled
from stage1_motion.dataset import Clip
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.models.fd2talk.network import MotionTransformerConfig
from stage1_motion.models.fd2talk.training import ExpressionAndPoseTask, ExpressionTask, PoseTask
from stage1_motion.motion_space import MotionSpace
from stage1_motion.pipeline import MotionPipeline

FRAMES, SPEECH = 90, 256


NETWORK = {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6}


def clips(model):
    """Noise of four people, one of them a development person."""
    random = np.random.default_rng(0)
    people = [f"person {i}" for i in range(12)]
    people = [p for p in people if is_development(p)][:1] + [p for p in people if not is_development(p)][:3]
    sizes = {"speech": SPEECH, "expression": model.num_expression, "pose": 6}
    return [
        Clip(
            name=person,
            person=person,
            motion=None,
            lip_std=4.8,
            head_std=0.035,
            **{key: random.normal(size=(FRAMES, size)).astype(np.float32) for key, size in sizes.items()},
        )
        for person in people
    ]


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    random = np.random.default_rng(1)
    return MotionSpace(
        model,
        random.uniform(0.5, 1, model.num_expression).astype(np.float32),
        random.uniform(0.01, 0.05, 6).astype(np.float32),
    )


def task(kind, space, coefficients, **settings):
    torch.manual_seed(0)
    return kind(clips(space.model), space, MotionTransformerConfig(coefficients, SPEECH, **NETWORK), **settings)


@pytest.fixture(scope="module")
def joint(space):
    expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")
    return task(
        ExpressionAndPoseTask, space, space.model.num_expression + 6, lip_expert=expert, sync_weight=0.5, steps=2
    )


def test_its_loss_is_that_of_both(joint, space):
    """Eq. 8 to 12: one network's error costs what two networks' same errors do."""
    count = space.model.num_expression
    expression = task(ExpressionTask, space, count, lip_expert=joint.lip_expert, sync_weight=0.5)
    pose = task(PoseTask, space, 6)
    batch = joint.batch(torch.Generator().manual_seed(0), 4)
    made = batch["x0"] + 0.1 * torch.randn(batch["x0"].shape)

    def cost(of, part):
        own = {**batch, **{key: batch[key][..., part] for key in ("x0", "noise")}}
        return of.loss(lambda *_: made[..., part], own)

    whole, parts = cost(joint, slice(None))
    face, face_parts = cost(expression, slice(count))
    head, head_parts = cost(pose, slice(count, None))
    assert torch.allclose(whole, face + head)
    assert set(parts) == {*face_parts, *(f"pose_{name}" for name in head_parts)} and parts["sync"] > 0


def test_it_trains_a_step_and_speaks(joint, space, tmp_path):
    before = joint.model.out.weight.clone()
    settings = TrainingConfig(output=str(tmp_path / "run"), max_steps=1, batch_size=2, warmup_steps=1, precision="no")
    result = train(joint, settings)
    assert not torch.equal(before, joint.model.out.weight.cpu())
    assert {"r", "head_spread", "score"} <= set(result["validation"])
    best = tmp_path / "run" / "best"
    assert [p.name for p in best.iterdir()] == ["expression_and_pose.safetensors"]
    for name in ("model.yaml", "speech_events.safetensors"):
        shutil.copy(bundled("fd2talk") / name, best)
    pipeline = MotionPipeline.from_pretrained(best)
    assert len(pipeline.model.parts) == 1
    assert np.allclose(pipeline.model.space.expression_std, space.expression_std)
    assert np.allclose(pipeline.model.space.pose_std, space.pose_std)
    audio = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[:24000]
    told = []
    motion = pipeline(audio, seed=1, progress=lambda done, whole: told.append((done, whole)))
    assert motion.expression.shape == (38, space.model.num_expression)
    assert motion.rotation.shape == motion.translation.shape == (38, 3)
    assert told[-1] == (38, 38)
    again, other = pipeline(audio, seed=1), pipeline(audio, seed=2)
    assert np.array_equal(again.rotation, motion.rotation) and not np.array_equal(other.rotation, motion.rotation)
