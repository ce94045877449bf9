"""The space in which motion is learned."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from shared.motion import Motion
from stage1_motion.dataset import fit_space
from stage1_motion.motion_space import (
    MEAN_GAP,
    TYPICAL_LIP_STD,
    MotionSpace,
    normalise_speech,
    person_scales,
    shrunk_std,
)


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


def test_the_lip_gap_is_that_of_the_vertices(model):
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    rng = np.random.default_rng(0)
    identity = rng.normal(size=model.num_identity).astype(np.float32)
    expression = rng.normal(size=(3, 5, model.num_expression)).astype(np.float32)
    expected = lip_gap(model.vertices(identity, expression))
    assert np.allclose(space.lip_gap(identity, expression), expected, atol=1e-4) and expected.std() > 1


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


def test_vertices_become_the_coefficients_that_made_them(model):
    rng = np.random.default_rng(0)
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    identity, expression = rng.normal(size=model.num_identity), rng.normal(size=(7, model.num_expression))
    residual = rng.normal(0, 0.3, model.mean.shape)
    vertices = model.vertices(identity, expression) + residual
    found, left = space.fit_vertices(vertices, identity, residual)
    assert np.allclose(found, expression, atol=1e-2) and left < 1e-3
    bent = vertices + rng.normal(0, 1, model.mean.shape)
    assert 0.5 < space.fit_vertices(bent, identity, residual)[1] < 2


def test_a_clip_comes_back_from_the_motion_space(model):
    """In units of the person, and with the person's own sizes, as the trainings encode it."""
    space = MotionSpace(model, np.linspace(0.5, 1, model.num_expression, dtype=np.float32), np.full(6, 0.1, np.float32))
    motion = talker(model, lip_std=7.0)
    speaking = space.speech_expression(motion)
    mean = speaking.mean(0)
    gap = float(space.lip_gap(motion.identity, mean))
    for lip_std, mean_gap, encoded in (
        (7.0, gap / 7.0, space.encode_expression(motion, 7.0)),
        (TYPICAL_LIP_STD, MEAN_GAP, space.encode_unscaled(motion)[:, :-6]),
    ):
        learned = space.learned_expression(speaking, mean, gap, lip_std, mean_gap)
        np.testing.assert_allclose(learned, encoded, atol=1e-4)
        np.testing.assert_allclose(space.decode_expression(learned, mean, gap, lip_std, mean_gap), speaking, atol=1e-4)
