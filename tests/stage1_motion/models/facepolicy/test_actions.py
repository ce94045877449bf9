"""Actions and eq. 2 in literal loops, and the receding horizon with a network whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from stage1_motion.models.facepolicy.actions import (
    ActionSpace,
    Units,
    differences,
    integrated,
    roll_out,
    speech_frames,
)
from stage1_motion.motion_space import MotionSpace

MODEL = load_bundled()
COUNT = MODEL.num_expression
RANDOM = np.random.default_rng(1)
SPACE = MotionSpace(
    MODEL, RANDOM.uniform(0.5, 1, COUNT).astype(np.float32), RANDOM.uniform(0.01, 0.05, 6).astype(np.float32)
)
UNITS = Units(millimetres=4.0, head=0.5)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_positions_are_millimetres_of_the_face_model_and_the_head():
    actions, motion = ActionSpace(SPACE, UNITS), random(3, COUNT + 6)
    found = actions.positions(motion)
    assert found.shape == (3, actions.channels) and actions.channels == 3 * len(MODEL.mean) + 6
    zero = np.zeros(MODEL.num_identity, np.float32)
    for row, position in zip(motion.numpy(), found.numpy()):
        moved = MODEL.vertices(zero, row[:COUNT] * SPACE.expression_std) - MODEL.mean
        assert np.allclose(position[:-6].reshape(-1, 3) * 4.0, moved, atol=1e-3)
        assert np.allclose(position[-6:] * 0.5, row[COUNT:], atol=1e-5)
    assert torch.allclose(actions.motion(found, actions.likely()), motion, atol=1e-3)
    fitted = SPACE.fit_displacements(found[:, :-6].numpy().reshape(3, -1, 3) * 4.0)
    assert np.allclose(actions.motion(found, actions.likely())[:, :COUNT], fitted, atol=1e-3)
    still = ActionSpace(SPACE, Units(4.0, 0.0))
    assert still.channels == actions.channels - 6
    back = still.motion(still.positions(motion), still.likely())
    assert torch.allclose(back[:, :COUNT], motion[:, :COUNT], atol=1e-3) and not back[:, COUNT:].any()


def test_equation_2():
    positions = random(6, 5)
    actions = differences(positions)
    assert actions.shape == (5, 5)
    for n in range(5):
        assert torch.equal(actions[n], positions[n + 1] - positions[n])
    x = positions[0].clone()
    found = integrated(positions[0], actions)
    for n in range(5):
        x = x + actions[n]
        assert torch.allclose(found[n], x, atol=1e-5)
    assert torch.allclose(found, positions[1:], atol=1e-5)


def test_speech_frames():
    assert speech_frames(10, past=3, future=2, frames=100) == [8, 9, 10, 11, 12]
    assert speech_frames(10, past=2, future=0, frames=100) == [9, 10]
    assert speech_frames(0, past=3, future=1, frames=100) == [0, 0, 0, 1]
    assert speech_frames(-1, past=2, future=2, frames=100) == [0, 0, 0, 1]
    assert speech_frames(99, past=2, future=2, frames=100) == [98, 99, 99, 99]


class Actor:
    """In the place of the network: remembers what it observes; all actions are what `answer` makes of it."""

    def __init__(self, answer, channels, acted=2):
        self.config = SimpleNamespace(
            horizon=4, observed=2, acted=acted, past=2, future=1, channels=channels, train_timesteps=10
        )
        self.answer, self.seen, self.heard = answer, [], []

    def observe(self, positions, speech, no_speech):
        self.seen.append(positions)
        self.heard.append(speech)
        return positions

    def guided(self, noisy, conditions, timestep, scale):
        return self.answer(conditions, noisy)


def acted_out(actor, space, frames, *, heard=0, before=None, **correction):
    speech = torch.arange(float(heard + frames))[None, :, None]
    before = torch.zeros(1, 2, COUNT + 6) if before is None else before
    return roll_out(actor, space, speech, before, heard=heard, steps=1, **correction,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip


@pytest.mark.parametrize("acted", [1, 2, 3])
def test_receding_horizon(acted):
    """Of four actions N_act are carried out; what is observed are the last two positions that came of them."""
    space = ActionSpace(SPACE, UNITS)
    steps = space.positions(random(4, COUNT + 6, seed=3))  # the actions, as differences of motion
    actor = Actor(lambda seen, noisy: steps[None], space.channels, acted)
    found = acted_out(actor, space, 7)
    position, expected = torch.zeros(space.channels), []
    while len(expected) < 7:
        for index in range(acted):
            position = position + steps[index]
            expected.append(position)
    assert found.shape == (1, 7, COUNT + 6)
    assert torch.allclose(space.positions(found[0]), torch.stack(expected[:7]), atol=1e-3)
    assert len(actor.seen) == -(-7 // acted)
    line = [torch.zeros(space.channels)] * 2 + expected
    for hop, seen in enumerate(actor.seen):
        assert torch.allclose(seen[0], torch.stack(line[hop * acted : hop * acted + 2]), atol=1e-3)
        now = hop * acted - 1
        assert actor.heard[hop].flatten().tolist() == [max(now - 1, 0), max(now, 0), min(now + 1, 6)]


def test_a_chain_goes_on_from_what_was_before():
    space, before = ActionSpace(SPACE, UNITS), random(1, 2, COUNT + 6, seed=4)
    actor = Actor(lambda seen, noisy: torch.zeros_like(noisy), space.channels)
    found = acted_out(actor, space, 3, heard=5, before=before)
    assert torch.allclose(found, before[:, -1:].expand(-1, 3, -1), atol=1e-3)
    assert [h.flatten().tolist() for h in actor.heard] == [[3, 4, 5], [5, 6, 7]]


def test_blur():
    """The likeliest coefficients of blurred positions, as a Gaussian posterior; what cannot be seen is not fed back."""
    space, blur = ActionSpace(SPACE, UNITS), 3.0
    unit = SPACE.displacements(np.eye(COUNT, dtype=np.float32)).reshape(COUNT, -1).astype(np.float64)  # mm
    covariance = unit.T @ unit + blur**2 * np.eye(unit.shape[1])
    expected = unit @ np.linalg.inv(covariance) * 4.0  # [D, 3 N], of coordinates in units of 4 mm
    assert np.allclose(space.likely(blur).T, expected, atol=1e-3 * np.abs(expected).max())
    before = random(1, 2, COUNT + 6, seed=4)
    still = Actor(lambda seen, noisy: torch.zeros_like(noisy), space.channels, acted=1)
    found = acted_out(still, space, 3, before=before, blur=blur)[0]
    state = before[0, -1].double().numpy()
    for frame in range(3):
        state[:COUNT] = expected @ (state[:COUNT] @ unit / 4.0)
        assert np.allclose(found[frame], state, atol=1e-3)
    outside = {}
    for blur in (0.0, 3.0):
        actor = Actor(lambda seen, noisy: torch.ones_like(noisy), space.channels)  # no movement of a face
        acted_out(actor, space, 10, blur=blur)
        last = actor.seen[-1]
        outside[blur] = float((last - space.positions(space.motion(last, space.likely()))).abs().max())
    assert outside[0.0] > 1 > 1e-2 > outside[3.0]


def test_leak():
    """The head, and nothing but the head, returns by the share each frame."""
    space, before = ActionSpace(SPACE, UNITS), random(1, 2, COUNT + 6, seed=4)
    still = Actor(lambda seen, noisy: torch.zeros_like(noisy), space.channels)
    found = acted_out(still, space, 5, before=before, leak=0.1)[0]
    for frame in range(5):
        assert torch.allclose(found[frame, COUNT:], before[0, -1, COUNT:] * 0.9 ** (frame + 1), atol=1e-4)
        assert torch.allclose(found[frame, :COUNT], before[0, -1, :COUNT], atol=1e-2)


def test_a_chain_without_speech_beside_the_chain_with_it():
    """For guidance the network answers twice, with and without speech, about the same noise."""
    space, calls = ActionSpace(SPACE, UNITS), []

    class Guided(Actor):
        def observe(self, positions, speech, no_speech):
            calls.append((positions, speech, no_speech))
            return positions

    actor = Guided(lambda seen, noisy: torch.zeros_like(noisy), space.channels)
    speech = torch.arange(12.0).reshape(2, 6, 1)
    roll_out(actor, space, speech, random(2, 2, COUNT + 6), steps=1, guidance=2.0, generator=torch.Generator())
    for positions, heard, no_speech in calls:
        assert no_speech.tolist() == [False, False, True, True]
        assert torch.equal(positions[:2], positions[2:]) and torch.equal(heard[:2], heard[2:])
