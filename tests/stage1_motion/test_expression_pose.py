"""The transformers against the paper's equations, sampling in windows, the learned space."""

import numpy as np
import pytest
import torch

from shared.diffusion.sampling import make_schedule, sample
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig, alignment_mask
from stage1_motion.windowed_sampling import generate_windows, seams

TINY = MotionTransformerConfig(coefficients=5, speech_features=7, width=16, layers=2, heads=2, window=20, context=6)


def tiny(seed: int = 0, **changes) -> MotionTransformer:
    torch.manual_seed(seed)
    network = MotionTransformer(MotionTransformerConfig(**{**TINY.to_dict(), **changes})).eval()
    torch.nn.init.normal_(network.out.weight, std=0.3)  # zero-initialised, it would hide everything
    torch.nn.init.normal_(network.no_speech)
    return network


def test_alignment_mask_is_equation_4():
    mask = alignment_mask(9, 3)
    for i in range(9):
        for j in range(9):
            assert mask[i, j] == (j - 3 <= i <= j + 3)


def test_speech_reaches_a_frame_only_through_the_mask():
    network = tiny(layers=1)
    x, speech = torch.randn(1, 20, 5), torch.randn(1, 20, 7)
    time = torch.tensor([500])
    before = network(x, time, speech)
    speech[0, 10] += 1.0
    changed = (network(x, time, speech) - before).abs().sum(-1)[0] > 1e-6
    # One block: self-attention comes before cross-attention, so nothing spreads further than k.
    assert changed.tolist() == [abs(i - 10) <= 3 for i in range(20)]


def test_without_the_mask_a_frame_hears_the_whole_window():
    network = tiny(layers=1, alignment=None)
    x, speech, time = torch.randn(1, 20, 5), torch.randn(1, 20, 7), torch.tensor([500])
    before = network(x, time, speech)
    speech[0, 10] += 1.0
    assert ((network(x, time, speech) - before).abs().sum(-1)[0] > 1e-6).all()


def test_without_the_mask_windows_are_cut_where_they_are_with_it():
    """Frames without a future are generated again by either, so that only what they see tells the two apart."""
    masked, free = tiny().config, tiny(alignment=None).config
    assert seams(free, 77) == seams(masked, 77) != []


def test_given_frames_matter():
    network, schedule = tiny(), make_schedule(100)
    speech, noise = torch.randn(1, 20, 7), torch.randn(1, 20, 5)
    given = (torch.arange(20) < 6)[None, :, None]
    results = []
    for level in (0.0, 2.0):
        values = torch.full((1, 20, 5), level)

        def predict(x, t):
            return network(x, t, speech, given)

        result = sample(predict, noise, schedule, 4, known=(values, given.expand_as(values)))
        results.append(result[:, 6:])
    assert (results[0] - results[1]).abs().max() > 1e-3


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


def test_guidance_of_one_is_the_plain_network_and_zero_ignores_speech():
    network = tiny()
    x, speech, time = torch.randn(2, 20, 5), torch.randn(2, 20, 7), torch.tensor([3, 700])
    plain = network(x, time, speech)
    assert torch.allclose(network.guided(x, time, speech, None, 1.0), plain)
    nobody = network(x, time, speech, drop=torch.tensor([True, True]))
    assert torch.allclose(network.guided(x, time, speech, None, 0.0), nobody, atol=1e-5)
    assert torch.allclose(network.guided(x, time, speech, None, 2.0), 2 * plain - nobody, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 5, 20, 21, 34, 35, 77])
def test_any_length_in_windows(frames):
    network = tiny()
    done = []
    motion = generate_windows(
        network,
        torch.randn(frames, 7),
        steps=2,
        guidance_scale=1.5,
        generator=torch.Generator().manual_seed(0),
        progress=done.append,
    )
    assert motion.shape == (frames, 5) and torch.isfinite(motion).all()
    assert done[-1] == frames and done[:-1] == seams(network.config, frames)


def test_windows_join_without_a_jump():
    """Whatever the network does with its context, a window begins where the one before ended."""

    class Jumpy(torch.nn.Module):
        config = TINY

        def guided(self, x, timestep, speech, given, guidance_scale):
            level = 1.0 if given.any() else 0.0
            return torch.full_like(x, level)

    generator = torch.Generator().manual_seed(0)
    motion = generate_windows(Jumpy(), torch.zeros(60, 7), steps=2, guidance_scale=1.0, generator=generator)
    assert motion.diff(dim=0).abs().max() < 0.13 and motion[-1].min() > 0.9


def test_the_same_seed_gives_the_same_motion_and_another_another():
    network, speech = tiny(), torch.randn(40, 7)

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return generate_windows(network, speech, steps=2, guidance_scale=1.0, generator=generator)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.slow
def test_paper_configuration_trains_a_step_and_samples_at_full_size():
    """Two 6-layer transformers on features of wav2vec2-base's size, 25-frame sequences, 1000 and 50 steps."""
    import yaml
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from shared.speech.encoder import SpeechEncoder
    from shared.weights import bundled_config

    encoder = SpeechEncoder(Wav2Vec2Model(Wav2Vec2Config()))  # wav2vec2-base's architecture, random weights
    speech = torch.from_numpy(encoder(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)))
    for part, coefficients in (("expression", 64), ("pose", 6)):
        config = yaml.safe_load(bundled_config(f"paper/{part}.yaml").read_text())
        network = MotionTransformer(MotionTransformerConfig(coefficients, encoder.size, **config["network"]))
        assert len(network.blocks) == 6 and network.config.window == 25 and network.config.train_timesteps == 1000
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
        x0 = torch.randn(2, 25, coefficients)
        time = torch.tensor([10, 900])
        noisy = make_schedule(1000).add_noise(x0, torch.randn_like(x0), time)
        before = network.out.weight.clone()
        loss = (network(noisy, time, speech.expand(2, -1, -1)) - x0).square().mean()
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss) and not torch.equal(before, network.out.weight)
        motion = generate_windows(
            network.eval(),
            speech,
            steps=config["loss"]["steps"],
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
        )
        assert config["loss"]["steps"] == 50 and motion.shape == (25, coefficients)
