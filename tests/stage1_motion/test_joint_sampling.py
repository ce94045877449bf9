"""All windows at once: what is given anywhere is seen on both sides of any window border."""

import numpy as np
import pytest
import torch

from shared.errors import UsageError
from stage1_motion.editing.replacement import Part, Replacement
from stage1_motion.joint_sampling import generate_jointly
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig

TINY = MotionTransformerConfig(coefficients=5, speech_features=7, width=16, layers=2, heads=2, window=20, context=6)


def tiny(seed: int = 0) -> MotionTransformer:
    torch.manual_seed(seed)
    network = MotionTransformer(TINY).eval()
    torch.nn.init.normal_(network.out.weight, std=0.3)  # zero-initialised, it would hide everything
    return network


def replacement(frames, at=(), value=1.0, reach=1):
    """Whole frames that are given, without a ramp beside them."""
    mask = np.zeros(frames, bool)
    mask[list(at)] = True
    values = np.full((frames, 5), value, np.float32)
    return Replacement(values, [Part(mask, np.ones(5, np.float32), reach)])


def run(network, frames, replace, steps=3, **options):
    speech = torch.randn(frames, 7, generator=torch.Generator().manual_seed(9))
    settings = {"guidance_scale": 1.0, "generator": torch.Generator().manual_seed(0), **options}
    return generate_jointly(network, speech, replace, steps=steps, **settings)


@pytest.mark.parametrize("frames", [1, 5, 20, 21, 35, 77])
def test_any_length(frames):
    done = []
    motion = run(tiny(), frames, replacement(frames), progress=done.append)
    assert motion.shape == (frames, 5) and torch.isfinite(motion).all()
    assert done[-1] == frames and len(done) == 3


class Windows(torch.nn.Module):
    """A network that notes the windows that it is asked for and predicts the mean of each."""

    config = TINY

    def __init__(self):
        super().__init__()
        self.seen = []

    def guided(self, x, timestep, speech, context_mask, guidance_scale):
        assert context_mask is None and len(x) == len(timestep) == len(speech)
        self.seen.append(x)
        return x.mean(1, keepdim=True).expand(-1, x.shape[1], -1)


@pytest.mark.parametrize("key", [9, 10, 19, 20, 21, 29, 30, 39, 40, 59, 60])
def test_a_key_is_seen_on_both_sides_of_any_window_border(key):
    """Frames up to half a window away react to it, before it and behind it, wherever it is."""
    network = tiny()
    low, high = (run(network, 80, replacement(80, [key], value)) for value in (-3.0, 3.0))
    changed = (high - low).abs().amax(1)
    for distance in range(1, 10):
        for frame in (key - distance, key + distance):
            if 0 <= frame < 80:
                assert changed[frame] > 1e-5


def test_a_single_step_never_sees_a_key():
    low, high = (run(tiny(), 50, replacement(50, [25], value), steps=1) for value in (-3.0, 3.0))
    assert torch.equal(low, high)


def test_windows_of_which_everything_is_given_are_left_out():
    network = Windows()
    run(network, 200, replacement(200, set(range(200)) - {100}), steps=2)
    assert [len(x) for x in network.seen] == [2, 2]  # starts 90 and 100
    assert torch.equal(network.seen[1][0, 0], network.seen[1][0, 1]) is False  # noised, each frame by its own noise


def test_windows_are_blended_without_a_step():
    """Windows that predict -1 and 1 in turns: the result passes from one to the next smoothly."""

    class Turns(Windows):
        def guided(self, x, timestep, speech, context_mask, guidance_scale):
            sign = torch.tensor([(-1.0) ** k for k in range(len(x))])
            return sign[:, None, None].expand_as(x)

    motion = run(Turns(), 100, replacement(100), steps=1)
    assert motion.min() < -0.95 and motion.max() > 0.95
    assert motion.diff(dim=0).abs().max() < 0.35


@pytest.mark.parametrize("solver", [None, "renoise", "dpm-solver++"])
def test_given_frames_enter_the_network_noised_and_stay_given(solver):
    """Each call after the first sees the given values, scaled, plus noise that is less at every step."""
    network = Windows()
    run(network, 20, replacement(20, range(5, 15), 50.0), steps=4, solver=solver)
    means = [x[0, 5:15].mean().item() for x in network.seen]
    assert abs(means[0]) < 1 and means[1] > 10 and means == sorted(means)


def test_more_steps_than_noise_levels_are_refused():
    with pytest.raises(UsageError, match="trained with 1000 steps, 1001 are too many"):
        run(tiny(), 9, replacement(9), steps=1001)
