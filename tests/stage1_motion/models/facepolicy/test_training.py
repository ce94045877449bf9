"""Examples and losses of 3DFacePolicy written out, and weights that are trained, loaded and sampled."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.motion import Motion
from shared.splits import is_development
from shared.training.config import TrainingConfig
from shared.training.loop import train
from stage1_motion.interface import SamplingOptions, Speech, Subject, Tail
from stage1_motion.models.facepolicy.actions import Units
from stage1_motion.models.facepolicy.model import Sampler, load, resting
from stage1_motion.models.facepolicy.training import FacePolicyTask, LossConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.speech_events import SpeechEvents
from stage1_motion.training.clips import Clip

FRAMES, SPEECH = 40, 24
MODEL = load_bundled()
COUNT = MODEL.num_expression
RANDOM = np.random.default_rng(1)
SPACE = MotionSpace(
    MODEL, RANDOM.uniform(0.5, 1, COUNT).astype(np.float32), RANDOM.uniform(0.01, 0.05, 6).astype(np.float32)
)
UNITS = Units(4.0, 0.5)
NETWORK = {"size": 16, "speech_width": 8, "widths": [8, 16], "kernel": 3, "step_width": 8, "past": 3, "future": 2}


def clips():
    """Noise of four people, one of them a development person; speech is the number of its frame."""
    people = [f"person {i}" for i in range(12)]
    people = [p for p in people if is_development(p)][:1] + [p for p in people if not is_development(p)][:3]
    result = []
    for index, person in enumerate(people):
        motion = Motion(
            expression=RANDOM.normal(size=(FRAMES, COUNT)).astype(np.float32),
            rotation=RANDOM.normal(0, 0.05, (FRAMES, 3)).astype(np.float32),
            translation=RANDOM.normal(0, 0.05, (FRAMES, 3)).astype(np.float32),
            face_model=MODEL.fingerprint,
            identity=np.zeros(MODEL.num_identity, np.float32),
        )
        speech = np.tile(np.arange(FRAMES, dtype=np.float32)[:, None] + 1000 * index, (1, SPEECH))
        result.append(Clip(person, person, motion, speech, motion.expression, motion.rotation, 4.8, 0.035))
    return result


CLIPS = clips()


def task(network=None, units=UNITS, **settings):
    torch.manual_seed(0)
    return FacePolicyTask(CLIPS, SPACE, {**NETWORK, **(network or {})}, units, LossConfig(**settings))


def batch(tested, size=12):
    return tested.batch(torch.Generator().manual_seed(0), size)


class Recorder:
    """In the place of the network: remembers what it sees and predicts zeros."""

    def __init__(self, shape):
        self.shape = shape

    def observe(self, positions, speech, no_speech):
        return positions

    def __call__(self, noisy, condition, timestep):
        self.noisy = noisy
        return torch.zeros(self.shape)


def test_an_example_is_a_time_step_with_what_was_before_and_what_comes():
    tested = task()
    drawn = batch(tested)
    observed, actions = tested.example(drawn)
    zero = np.zeros(MODEL.num_identity, np.float32)
    for item in range(12):
        heard = drawn["speech"][item, :, 0]
        clip = CLIPS[int(heard[0]) // 1000]
        now = int(heard[2]) % 1000  # past 3, future 2: the third is now
        assert not is_development(clip.person)
        offsets = [min(max(now + k, 0), FRAMES - 1) for k in (-2, -1, 0, 1, 2)]
        assert [int(v) % 1000 for v in heard] == offsets
        motion = SPACE.encode_unscaled(clip.motion)

        def mm(frame, motion=motion):
            return MODEL.vertices(zero, motion[frame, :COUNT] * SPACE.expression_std).reshape(-1)

        for k in range(4):
            difference = (mm(now + k + 1) - mm(now + k)) / 4.0
            assert np.allclose(actions[item, k, :-6], difference, atol=1e-3)
            head = (motion[now + k + 1] - motion[now + k])[COUNT:] / 0.5
            assert np.allclose(actions[item, k, -6:], head, atol=1e-4)
        for k in range(2):
            seen = (mm(max(now - 1 + k, 0)) - MODEL.mean.reshape(-1)) / 4.0
            assert np.allclose(observed[item, k, :-6], seen, atol=1e-3)


@pytest.mark.parametrize("recovery", [1, 3, 4, 6])
def test_actions_lead_back_from_a_disturbed_observation(recovery):
    calm, disturbed = task(), task(offset=0.5, jitter=0.1, recovery=recovery)
    drawn = batch(disturbed)
    true_seen, true_actions = calm.example({**drawn, "offset": 0 * drawn["offset"]})
    seen, actions = disturbed.example(drawn)
    away = seen - true_seen
    assert torch.allclose(away, calm.action_space.positions(drawn["offset"]), atol=1e-3)
    face, head = drawn["offset"][..., :COUNT], drawn["offset"][..., COUNT:]
    assert 0.4 < float(face.std()) < 0.6 and 0.05 < float(head.std()) < 0.15
    assert 0.05 < float((drawn["offset"][:, 0] - drawn["offset"][:, 1]).std()) / 2**0.5 < 0.15
    for k in range(4):
        reached = (seen[:, -1] + actions[:, : k + 1].sum(1)) - (true_seen[:, -1] + true_actions[:, : k + 1].sum(1))
        left = max(0.0, 1 - (k + 1) / recovery)
        assert torch.allclose(reached, left * away[:, -1], atol=1e-3)


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
def test_losses(prediction):
    tested = task({"prediction": prediction}, position_weight=0.7)
    drawn = batch(tested, 3)
    _, actions = tested.example(drawn)
    recorder = Recorder(actions.shape)
    found, parts = tested.loss(recorder, drawn)
    for item, k in enumerate(drawn["timestep"].tolist()):
        level = float(tested.schedule.alphas_cumprod[k])
        noisy = level**0.5 * actions[item] + (1 - level) ** 0.5 * drawn["noise"][item]
        assert torch.allclose(recorder.noisy[item], noisy, atol=1e-4)
    if prediction == "epsilon":
        assert float(found) == pytest.approx(float((drawn["noise"] ** 2).mean()), rel=1e-5)
        return
    total, reached = 0.0, torch.zeros(3, actions.shape[2])
    for k in range(4):
        reached = reached + actions[:, k]
        total += float((actions[:, k] ** 2).mean() / 4 + 0.7 * (reached**2).mean() / 4)
    assert float(found) == pytest.approx(total, rel=1e-4)
    assert set(parts) == {"actions", "positions"}


def test_smoothing_takes_jitter_away():
    rough, smooth = (task(smoothing=width).motion(CLIPS[1]) for width in (0, 1.0))
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    expected = (weights / weights.sum()) @ rough[16:25]
    assert np.allclose(smooth[20], expected, atol=1e-3)


def test_speech_is_dropped():
    dropped = batch(task(speech_dropout=0.25), 400)["no_speech"]
    assert 0.18 < float(dropped.float().mean()) < 0.32 and not batch(task())["no_speech"].any()


@pytest.fixture(scope="module", params=["sample", "epsilon"])
def trained(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("facepolicy")
    tested = task({"prediction": request.param}, offset=0.3, speech_noise=0.1)
    result = train(tested, TrainingConfig(output=str(folder), max_steps=2, batch_size=4, threads=1, warmup_steps=0))
    assert set(result["validation"]) == {"score", "r", "spread", "speed", "level", "head_speed", "head_trembling"}
    return load(folder / "best", MODEL)


def generated(model, seed=0, frames=9, shift=0.0, **settings):
    features = np.random.default_rng(0).normal(size=(frames, SPEECH)).astype(np.float32)
    features[frames // 2 :] += shift
    speech = Speech(features, SpeechEvents(np.ones(frames), np.zeros(frames)), np.zeros(frames * 640), streamed=True)
    generator = torch.Generator().manual_seed(seed)
    return model.sample(speech, Subject.of(None, MODEL), generator=generator, **settings)


def test_seeds_and_speech(trained):
    sample = generated(trained)
    assert sample.expression.shape == (9, COUNT) and sample.pose.shape == (9, 6)
    again, other, shifted = generated(trained), generated(trained, seed=1), generated(trained, shift=3.0)
    assert np.array_equal(sample.expression, again.expression) and np.array_equal(sample.pose, again.pose)
    assert np.abs(sample.expression - other.expression).max() > 1e-4
    # Frame 4 is heard from frame 2 on, of which the actions of frame 3 are the first.
    changed = np.abs(sample.expression - shifted.expression).max(1) > 1e-6
    assert not changed[:2].any() and changed[4:].all()


def test_steps_and_what_is_ignored(trained):
    sample = generated(trained)
    assert np.abs(generated(trained, options=SamplingOptions(steps=1)).expression - sample.expression).max() > 1e-4
    assert np.abs(generated(trained, options=SamplingOptions(guidance=3.0)).expression - sample.expression).max() > 1e-4
    assert np.array_equal(generated(trained, options=SamplingOptions(pose_steps=3)).expression, sample.expression)
    assert "pose_steps" in trained.ignores


def test_a_face_starts_at_rest_and_a_tail_goes_on(tmp_path):
    """With a network that never moves, a face stays where it is."""
    tested = task()
    tested.sampler = Sampler(blur=0.0, leak=0.0)
    for parameter in tested.model.unet.leave[-1].parameters():
        torch.nn.init.zeros_(parameter)
    tested.save(tested.model, tmp_path)
    still, rest = load(tmp_path, MODEL), resting(SPACE, 1)[0, :COUNT]
    assert np.allclose(rest @ SPACE.gap_row(), 0.3 - 1.45 * 4.8, atol=1e-2)  # a closed mouth
    line = np.arange(3 * (COUNT + 6), dtype=np.float32).reshape(3, -1) / 100
    for count in range(4):
        tail = Tail(line[:count, :COUNT], line[:count, COUNT:], np.zeros((count, SPEECH), np.float32))
        sample = generated(still, tail=tail)
        assert np.allclose(sample.expression, line[count - 1, :COUNT] if count else rest, atol=1e-2)
        assert np.allclose(sample.pose, line[count - 1, COUNT:] if count else 0, atol=1e-2)


def test_a_still_head(tmp_path):
    tested = task(units=Units(4.0, 0.0))
    tested.save(tested.model, tmp_path)
    assert generated(load(tmp_path, MODEL)).pose is None


def test_what_cannot_be_loaded(trained, tmp_path):
    with pytest.raises(UsageError, match="no weights of single persons"):
        load(tmp_path, MODEL, person=tmp_path)
    with pytest.raises(InputError, match="policy.safetensors: no such file"):
        load(tmp_path, MODEL)
    tested = task()
    tested.save(tested.model, tmp_path)
    other = SimpleNamespace(**{**vars(MODEL), "fingerprint": "another", "num_expression": COUNT})
    other.exp_basis, other.mean = MODEL.exp_basis, MODEL.mean
    with pytest.raises(InputError, match="belongs to face model"):
        load(tmp_path, other)
