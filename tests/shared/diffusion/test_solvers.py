"""diffusers' schedulers as solvers."""

import re
import sys

import pytest
import torch

from shared.diffusion.sampling import make_schedule, sample
from shared.diffusion.solvers import make_solver, solve
from shared.errors import UsageError

NAMES = ["DDIMScheduler", "UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"]


@pytest.fixture(autouse=True)
def diffusers():
    return pytest.importorskip("diffusers", reason="the package diffusers is not installed")


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_network_gives_its_signal(name):
    truth = torch.randn(2, 11, 3)
    result = solve(lambda x, t: truth, torch.randn(2, 11, 3), make_solver(name), 10)
    assert torch.allclose(result, truth, atol=2e-2)


def test_ddim_is_ours():
    clean, x = torch.randn(2, 1, 5, 3)

    def predict(x, t):
        assert t.dtype == torch.int64 and 0 <= int(t[0]) < 1000
        return 0.5 * x + clean

    found = solve(predict, x, make_solver("DDIMScheduler"), 10)
    assert torch.allclose(found, sample(predict, x, make_schedule(1000), 10), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_signal_of_gaussian_data(name):
    """For data N(0, s^2) the best prediction is linear in x_t, and the exact solution scales the noise by s."""
    alphas, size = make_schedule(1000).alphas_cumprod, 0.4

    def predict(x, t):
        a = alphas[t[0]]
        return a.sqrt() * size**2 / (a * size**2 + 1 - a) * x

    noise = torch.randn(4, 50, 3)
    found = solve(predict, noise, make_solver(name), 100)
    assert torch.allclose(found.std(), size * noise.std(), rtol=0.1)


def test_known_frames_are_shown_to_the_network():
    values, mask = torch.full((1, 6, 2), 7.0), torch.zeros(1, 6, 2, dtype=torch.bool)
    mask[:, :2] = True

    def predict(x, t):
        assert (x[:, :2] == 7).all() and not (x[:, 2:] == 7).any()
        return torch.zeros_like(x)

    solve(predict, torch.randn(1, 6, 2), make_solver("UniPCMultistepScheduler"), 4, known=(values, mask))


@pytest.mark.parametrize("name", ["Euler", "AutoencoderKL", "ScoreSdeVeScheduler", "KarrasVeScheduler", "Scheduler"])
def test_what_does_not_fit_is_one_line(name):
    with pytest.raises(UsageError, match=re.escape(f"--solver {name}: there are ddim, renoise, dpm-solver++, and")):
        make_solver(name)


def test_without_diffusers(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UsageError, match=r'needs the package diffusers: pip install "fd2talk\[solvers\]"'):
        make_solver("DDIMScheduler")
