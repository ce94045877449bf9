"""Losses of eq. 8 to 12, and one step of training."""

import shutil

import numpy as np
import pytest
import torch

from shared.config import Config
from shared.face_model import load_bundled
from shared.media import read_audio
from shared.splits import is_development
from shared.training.config import TrainingConfig
from shared.training.loop import train
from shared.weights import bundled, bundled_config
from stage1_motion.interface import SamplingOptions
from stage1_motion.lip_expert.network import WINDOW, LipExpert
from stage1_motion.models.fd2talk.network import MotionTransformerConfig
from stage1_motion.models.fd2talk.training import ExpressionAndPoseTask, ExpressionTask, PoseTask
from stage1_motion.motion_space import MotionSpace
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.training.clips import Clip

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
        ExpressionAndPoseTask,
        space,
        space.model.num_expression + 6,
        lip_expert=expert,
        sync_weight=0.5,
        steps=2,
        guidance_scale=1.25,
        eta=0.5,
    )


def test_the_network_sees_noised_motion_with_its_context_clean(space):
    """Eq. 2: sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, in all frames but those of the context."""
    one = task(ExpressionTask, space, space.model.num_expression)
    batch = one.batch(torch.Generator().manual_seed(0), 16)
    seen = []

    def network(*inputs):
        seen.append(inputs)
        return batch["x0"]

    one.loss(network, batch)
    ((noisy, timestep, speech, context_mask, cond_drop_mask),) = seen
    alpha_bar = one.schedule.alphas_cumprod.numpy()
    contexts = [bool(c) for c in batch["context_mask"][:, 0, 0]]
    assert any(contexts) and not all(contexts)
    for b in range(16):
        signal, noise = alpha_bar[int(timestep[b])] ** 0.5, (1 - alpha_bar[int(timestep[b])]) ** 0.5
        for f in range(NETWORK["window"]):
            clean = contexts[b] and f < NETWORK["context"]
            expected = batch["x0"][b, f] if clean else signal * batch["x0"][b, f] + noise * batch["noise"][b, f]
            assert torch.allclose(noisy[b, f], expected, atol=1e-5), (b, f)
    assert speech is batch["speech"] and torch.equal(context_mask, batch["context_mask"])
    assert torch.equal(cond_drop_mask, batch["cond_drop_mask"])


def test_speech_is_dropped_in_the_share_of_sequences_that_is_configured(space):
    drawn = {
        share: task(PoseTask, space, 6, speech_dropout=share).batch(torch.Generator().manual_seed(0), 400)
        for share in (0.0, 0.15, 0.5)
    }
    for share, batch in drawn.items():
        assert abs(batch["cond_drop_mask"].float().mean() - share) < 0.06
    default = task(PoseTask, space, 6).batch(torch.Generator().manual_seed(0), 400)
    assert torch.equal(default["cond_drop_mask"], drawn[0.15]["cond_drop_mask"])


def test_dropped_speech_changes_nothing_and_other_speech_does(space):
    one = task(PoseTask, space, 6, speech_dropout=0.5)
    torch.nn.init.normal_(one.model.out.weight, std=0.1)
    batch = one.batch(torch.Generator().manual_seed(0), 8)
    dropped = batch["cond_drop_mask"]
    assert dropped.any() and not dropped.all()
    with torch.no_grad():
        one.model.eval()
        before = one.predict(one.model, batch)
        after = one.predict(one.model, {**batch, "speech": batch["speech"].flip(1)})
    assert torch.equal(before[dropped], after[dropped])
    assert ((before - after)[~dropped].abs().amax((1, 2)) > 1e-4).all()


def test_the_loss_is_equation_12_over_frames_that_are_generated(space):
    """The terms of eq. 8, 10 and 11 with their weights, over frames that are neither context nor padding."""
    expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")
    weights = {"lip_weight": 0.3, "velocity_weight": 0.7, "sync_weight": 0.2}
    one = task(ExpressionTask, space, space.model.num_expression, lip_expert=expert, speech_dropout=0.5, **weights)
    batch = one.batch(torch.Generator().manual_seed(3), 16)
    made = batch["x0"] + 0.3 * torch.randn(batch["x0"].shape, generator=torch.Generator().manual_seed(0))
    loss, _ = one.loss(lambda *_: made, batch)
    mask = batch["valid"] & ~batch["context_mask"]
    predicted = torch.where(batch["context_mask"], batch["x0"], made)
    parts = one.expression_loss(predicted - batch["x0"], mask)
    sync, with_speech = [], mask & ~batch["cond_drop_mask"][:, None, None]
    probabilities = expert.p_sync(predicted, batch["speech"])
    for b, w in np.ndindex(*probabilities.shape):
        if with_speech[b, w : w + WINDOW].all():
            sync.append(-np.log(max(float(probabilities[b, w]), 1e-3)))
    expected = parts["exp"] + 0.3 * parts["lips"] + 0.7 * parts["velocity"] + 0.2 * np.mean(sync)
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_the_paper_s_configuration_is_as_printed(space):
    """FD2Talk §3.4.1 and §4.1: eq. 8 and L_sync (expression) or eq. 9 (pose), Adam, batches of one, nothing beside."""
    expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")
    for part, kind in (("expression", ExpressionTask), ("pose", PoseTask)):
        config = Config.load(bundled_config(f"train/paper/stage1_motion/fd2talk/{part}.yaml")).resolved()
        network, loss, training = config["network"], config["loss"], config["training"]
        assert (network["layers"], network["window"], network["train_timesteps"], loss["steps"]) == (6, 25, 1000, 50)
        assert (training["batch_size"], training["weight_decay"], training["beta2"]) == (1, 0, 0.999)
        assert "speech_events" not in config and loss["speech_dropout"] == loss["speech_noise"] == 0
        given = {"lip_expert": expert} if part == "expression" else {}
        one = task(kind, space, 6 if part == "pose" else space.model.num_expression, **loss, **given)
        batch = one.batch(torch.Generator().manual_seed(0), 8)
        batch["valid"] = torch.ones_like(batch["valid"])
        made = batch["x0"] + torch.randn(batch["x0"].shape, generator=torch.Generator().manual_seed(1))
        total, parts = one.loss(lambda *_, made=made: made, batch)
        expected = parts["pose"] if part == "pose" else parts["exp"] + loss["sync_weight"] * parts["sync"]
        assert torch.allclose(total, expected) and not batch["cond_drop_mask"].any()
        if part == "expression":
            assert loss["sync_weight"] > 0 and config["lip_expert"] and float(parts["sync"]) > 0


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
    (part,) = pipeline.model.parts
    assert (part.steps, part.guidance_scale, part.eta) == (2, 1.25, 0.5)
    assert np.allclose(pipeline.model.space.expression_std, space.expression_std)
    assert np.allclose(pipeline.model.space.pose_std, space.pose_std)
    audio = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[:24000]
    told = []
    motion = pipeline(audio, seed=1, progress=lambda done, whole: told.append((done, whole)))
    assert motion.expression.shape == (38, space.model.num_expression)
    assert motion.rotation.shape == motion.translation.shape == (38, 3)
    assert told[-1] == (38, 38)
    again, other = pipeline(audio, seed=1), pipeline(audio, seed=2)
    without_noise = pipeline(audio, seed=1, options=SamplingOptions(eta=0.0))
    assert not np.allclose(without_noise.expression, motion.expression, atol=1e-4)
    assert np.array_equal(again.rotation, motion.rotation) and not np.array_equal(other.rotation, motion.rotation)
