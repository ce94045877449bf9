"""The sampler against eq. 5 and against diffusers."""

import pytest
import torch

from shared.diffusion.sampling import make_schedule, sample


def test_sampling_a_perfect_network_returns_its_signal():
    truth = torch.randn(2, 11, 3)
    for steps in (1, 2, 10, 50):
        result = sample(lambda x, t: truth, torch.randn(2, 11, 3), make_schedule(1000), steps)
        assert torch.allclose(result, truth, atol=1e-4)


def test_a_step_is_equation_5():
    """Against the equation written out, with sigma."""
    schedule = make_schedule(1000)
    x, clean, noise = torch.randn(3, 1, 4, 2)
    t, previous = schedule.timesteps(10)[3:5]
    a, b = schedule.alphas_cumprod[t], schedule.alphas_cumprod[previous]
    sigma = 0.7 * torch.sqrt((1 - b) / (1 - a) * (1 - a / b))
    expected = b.sqrt() * clean + (1 - b - sigma**2).sqrt() / (1 - a).sqrt() * (x - a.sqrt() * clean) + sigma * noise
    assert torch.allclose(schedule.step(x, clean, t, previous, eta=0.7, noise=noise), expected, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 4, 10, 50])
def test_schedule_and_sampling_agree_with_diffusers(steps):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )
    schedule = make_schedule(1000)
    assert torch.allclose(schedule.alphas_cumprod, theirs.alphas_cumprod, atol=1e-5)
    theirs.set_timesteps(steps)
    assert schedule.timesteps(steps) == theirs.timesteps.tolist()
    clean, x = torch.randn(2, 1, 5, 3)
    expected = x
    for t in theirs.timesteps:
        expected = theirs.step(0.5 * expected + clean, t, expected).prev_sample
    assert torch.allclose(sample(lambda x, t: 0.5 * x + clean, x, schedule, steps), expected, atol=1e-3)
    noise, t = torch.randn(4, 5, 3), torch.tensor([0, 10, 500, 999])
    mine = schedule.add_noise(clean.expand(4, -1, -1), noise, t)
    assert torch.allclose(mine, theirs.add_noise(clean.expand(4, -1, -1), noise, t), atol=1e-3)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_sampling_with_noise_agrees_with_diffusers(eta):
    """`eta` scales the noise of every step but the last, which returns the prediction itself."""
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
    )
    theirs.set_timesteps(10)
    clean, x = torch.randn(2, 2, 5, 3)
    generator = torch.Generator().manual_seed(0)
    expected = x
    for t in theirs.timesteps:
        noise = torch.randn(x.shape, generator=generator)
        expected = theirs.step(0.5 * expected + clean, t, expected, eta=eta, variance_noise=noise).prev_sample

    def predict(x, t):
        return 0.5 * x + clean

    options = {"eta": eta, "generator": torch.Generator().manual_seed(0)}
    found = sample(predict, x, make_schedule(1000), 10, **options)
    assert torch.allclose(found, expected, atol=1e-3)
    options["generator"].manual_seed(0)
    assert torch.equal(found, sample(predict, x, make_schedule(1000), 10, **options))
    assert not torch.allclose(found, sample(predict, x, make_schedule(1000), 10), atol=1e-2)


@pytest.mark.parametrize("renoise", [False, True])
def test_given_values_replace_the_prediction_and_are_noised_as_the_schedule_says(renoise):
    """Whatever the network predicts of them, it sees them noised; the last step returns its own."""
    schedule, noise, seen = make_schedule(1000), torch.randn(1, 6, 2), []

    def predict(x, t):
        seen.append((x, int(t[0])))
        return torch.full_like(x, 9.0)

    def replace(clean):
        return torch.cat([torch.full_like(clean[:, :3], -4.0), clean[:, 3:]], dim=1)

    result = sample(predict, noise, schedule, 5, replace=replace, renoise=renoise, generator=torch.Generator())
    assert len(seen) == 5 and torch.equal(result, torch.full_like(noise, 9.0))
    for x, t in seen[1:]:
        a = schedule.alphas_cumprod[t]
        for frames, clean in ((slice(0, 3), -4.0), (slice(3, 6), 9.0)):
            left = (x[:, frames] - a.sqrt() * clean) / (1 - a).sqrt()
            if renoise:
                assert left.abs().max() < 5
            else:  # the noise of the beginning, which DDIM without eta keeps
                assert torch.allclose(left, noise[:, frames], atol=1e-3)
