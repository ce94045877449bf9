"""The learned space, blinks and gaze, voice activity, the lip expert: on motion made here."""

import numpy as np
import pytest
import torch

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.motion import Motion
from stage1_motion.dataset import fit_space, person_scales
from stage1_motion.lip_expert.network import LipExpert, mouth_basis
from stage1_motion.lip_expert.training import LipExpertTask, sync_auc
from stage1_motion.motion_space import MEAN_GAP, MotionSpace, normalise_speech, shrunk_std
from stage1_motion.postprocessing.eyes import blinks, eye_motion, fixations
from stage1_motion.speech_events import Phonetics, Probe, with_neighbours
from stage1_motion.speech_events_training import fit


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def talker(model, lip_std=5.0, seed=0, frames=200) -> Motion:
    """Somebody whose mouth opens and closes, who blinks twice and turns the head."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(frames) * 0.6 + rng.uniform(0, 6)) * np.sqrt(2)
    expression = np.outer((wave + MEAN_GAP) * lip_std, model.extra["open"])
    for start in (40, 140):
        expression[start : start + 4] += 6.0 * model.extra["blink"]
    slow = np.sin(np.arange(frames)[:, None] * [0.05, 0.08, 0.03] + rng.uniform(0, 6, size=3))
    rotation = 0.04 * slow
    return Motion(
        expression=expression,
        rotation=rotation,
        translation=np.tile([0.0, -0.2, -0.3], (frames, 1)),
        face_model=model.fingerprint,
        identity=rng.normal(0, 0.5, model.num_identity),
    )


def test_blinks_and_gaze_are_taken_out(model):
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    motion = talker(model)
    before = lid_gap(model.vertices(motion.identity, motion.expression))
    after = lid_gap(model.vertices(motion.identity, space.speech_expression(motion)))
    assert before.std() > 0.5 and after.std() < 0.1 * before.std()


def test_a_person_is_encoded_without_size_and_decoded_at_any(model):
    people = {f"p{k}": [talker(model, lip_std=s, seed=k)] for k, s in enumerate((3.0, 5.0, 7.0))}
    space = fit_space(model, people)
    curves = []
    for (motion,) in people.values():
        lip_std, _ = person_scales(space, [motion])
        learned = space.encode_expression(motion, lip_std)
        curves.append((learned * space.expression_std) @ _gap_row(model))
    sizes = [c.std() for c in curves]
    assert max(sizes) / min(sizes) < 1.35  # the people differ by 2.3

    photo = 2.0 * model.extra["open"]  # a photo with the lips 2 mm apart
    learned = space.encode_expression(people["p1"][0], 5.0)
    for lip_std in (2.0, 5.0):
        decoded = space.decode_expression(learned, photo, 2.0, lip_std)
        gap = lip_gap(model.vertices(np.zeros(model.num_identity), decoded))
        assert gap.mean() == pytest.approx(MEAN_GAP * lip_std, abs=0.3)
        assert gap.std() == pytest.approx(lip_std, rel=0.25)


def _gap_row(model):
    neutral = np.zeros(model.num_identity)
    return lip_gap(model.vertices(neutral, np.eye(model.num_expression))) - lip_gap(model.mean)


def test_pose_round_trip(model):
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.full(6, 0.5, np.float32))
    motion = talker(model)
    learned = space.encode_pose(motion, 0.05)
    photo = np.array([0.1, 0.2, 0.0]), np.array([0.0, 0.1, -0.2])
    rotation, translation = space.decode_pose(learned, *photo, 0.05)
    assert np.abs(rotation.mean(0) - photo[0]).max() < 0.01
    assert rotation.std(0) == pytest.approx(motion.rotation.std(0), rel=0.1)
    assert np.abs(translation.mean(0) - photo[1]).max() < 1e-5


def test_few_frames_are_drawn_to_the_typical_person():
    rng = np.random.default_rng(0)
    assert shrunk_std([rng.normal(0, 9, 10)], 5.0) < 7.0
    assert shrunk_std([rng.normal(0, 9, 5000)], 5.0) == pytest.approx(9.0, rel=0.05)


def test_speech_statistics_come_from_speech_alone():
    rng = np.random.default_rng(0)
    talking = rng.normal(3.0, 1.0, (200, 4)).astype(np.float32)
    padded = np.concatenate([talking, np.full((600, 4), -5.0, np.float32)])
    activity = np.r_[np.ones(200), np.zeros(600)]
    alone = normalise_speech(talking, np.ones(200))
    assert np.abs(normalise_speech(padded, activity)[:200] - alone).max() < 0.2
    assert np.abs(alone.mean(0)).max() < 1e-4


def test_blink_rate_and_shape(model):
    rng = np.random.default_rng(0)
    closed = blinks(25 * 600, rng)
    count = (np.diff((closed > 0.5).astype(int)) == 1).sum()
    assert 8 <= count / 10 <= 30 and closed.max() <= 1.0
    motion = eye_motion(model, 25 * 60, 8.0, np.random.default_rng(1))
    vertices = model.vertices(np.zeros(model.num_identity), motion)
    lids = lid_gap(vertices) - lid_gap(model.mean)
    assert lids.min() < -6.5 and np.percentile(lids, 50) > -1.0
    # Lips do not notice.
    assert np.abs(lip_gap(vertices) - lip_gap(model.mean)).max() < 0.5


def test_closed_eyes_stay_as_they_are(model):
    assert np.abs(lid_gap(model.vertices(np.zeros(40), eye_motion(model, 200, 0.0, np.random.default_rng(0)))) -
                  lid_gap(model.mean)).max() < 0.5  # fmt: skip


def test_eyes_rest_between_jumps(model):
    look = fixations(25 * 60, np.random.default_rng(0))
    moving = np.abs(np.diff(look, axis=0)).sum(1) > 1e-6
    assert 0.02 < moving.mean() < 0.25
    shift = gaze(model.vertices(np.zeros(model.num_identity), look @ model.extra["gaze"])) - gaze(model.mean)
    assert np.corrcoef(shift[:, 0], look[:, 0])[0, 1] > 0.95


def test_phonetics_learn_rest_and_close(tmp_path):
    rng = np.random.default_rng(0)
    speaks = np.repeat(rng.integers(0, 2, 60), 20).astype(np.float32)
    features = rng.normal(0, 1, (1200, 6)).astype(np.float32)
    features[:, 2] += 4 * speaks
    probe = fit(with_neighbours(features), speaks)
    assert ((probe(features) > 0) == (speaks > 0)).mean() > 0.95
    lips = Probe(np.eye(18, dtype=np.float32)[6 + 4] * 10, -5.0)
    phonetics = Phonetics({"speaks": probe, "bilabial": lips, "closed": lips})
    phonetics.save(tmp_path / "v.safetensors")
    again = Phonetics.load(tmp_path / "v.safetensors")
    assert np.allclose(again.probes["speaks"](features), probe(features), atol=1e-4)
    # Ten seconds: quiet, two seconds of speech with a b in the middle, quiet; a cough of one frame does not count.
    spoken = np.zeros(250)
    spoken[100:150] = 1
    spoken[30] = 1
    features = np.zeros((250, 6), np.float32)
    features[:, 2] = 8 * spoken - 2
    features[124:126, 4] = 1
    events = again(features, np.ones(160000, np.float32) * 0.1)
    activity = events.speaks
    assert activity[105:145].min() == 1.0 and activity[:90].max() == 0.0 and activity[165:].max() == 0.0
    assert activity[97] > 0.3 and np.abs(np.diff(activity)).max() < 0.4
    assert events.shut[124:126].min() == 1.0 and events.shut[:122].max() == events.shut[128:].max() == 0.0
    assert again(features, np.zeros(160000, np.float32)).speaks.max() == 0.0
    with pytest.raises(InputError, match="not a file of phonetic probes"):
        Phonetics.load(tmp_path / "nothing.safetensors")


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
    task = LipExpertTask(clips, space, width=24, embedding=16, dropout=0.0)
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
