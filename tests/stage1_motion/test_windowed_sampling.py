"""Windows continue each other, whatever the length."""

import pytest
import torch

from shared.errors import UsageError
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage1_motion.windowed_sampling import generate_windows, seams

TINY = MotionTransformerConfig(coefficients=5, speech_features=7, width=16, layers=2, heads=2, window=20, context=6)


def tiny(seed: int = 0, **changes) -> MotionTransformer:
    torch.manual_seed(seed)
    network = MotionTransformer(MotionTransformerConfig(**{**TINY.to_dict(), **changes})).eval()
    torch.nn.init.normal_(network.out.weight, std=0.3)  # zero-initialised, it would hide everything
    torch.nn.init.normal_(network.no_speech)
    return network


def test_without_the_mask_windows_are_cut_where_they_are_with_it():
    """Frames without a future are generated again by either, so that only what they see tells the two apart."""
    masked, free = tiny().config, tiny(alignment=None).config
    assert seams(free, 77) == seams(masked, 77) != []


@pytest.mark.parametrize("solver", [None, "renoise", "dpm-solver++"])
def test_more_steps_than_noise_levels_are_refused(solver):
    network, speech = tiny(train_timesteps=50), torch.zeros(9, 7)
    settings = {"guidance_scale": 1.0, "generator": torch.Generator().manual_seed(0), "solver": solver}
    with pytest.raises(UsageError, match="trained with 50 steps, 51 are too many"):
        generate_windows(network, speech, steps=51, **settings)
    assert generate_windows(network, speech, steps=50, **settings).isfinite().all()


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

        def guided(self, x, timestep, speech, context_mask, guidance_scale):
            level = 1.0 if context_mask.any() else 0.0
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


def test_a_batch_holds_samples_of_recordings_of_one_length():
    network, speech = tiny(), torch.randn(40, 7)

    def run(speech):
        generator = torch.Generator().manual_seed(1)
        return generate_windows(network, speech, steps=2, guidance_scale=1.5, generator=generator)

    alone, several = run(speech), run(speech.expand(3, -1, -1))
    assert torch.equal(run(speech[None])[0], alone)
    assert several.shape == (3, 40, 5) and (several[0] - several[1]).abs().mean() > 0.01
    other = run(torch.stack([speech, torch.randn(40, 7), speech]))
    assert torch.allclose(other[2], several[2], atol=1e-5)  # each follows its own speech
    assert not torch.allclose(other[1], several[1], atol=0.01)


def test_only_the_head_joins_in_speed():
    """A window that goes on where the last one stopped: its head also goes on as fast."""

    class Ramp(torch.nn.Module):
        config = MotionTransformerConfig(
            coefficients=2, speech_features=7, width=16, layers=1, heads=2, window=24, context=6
        )

        def guided(self, x, timestep, speech, context_mask, guidance_scale):
            ramp = torch.arange(float(x.shape[1]))[None, :, None].expand_as(x)
            return torch.zeros_like(x) if context_mask.any() else ramp

    heavy = torch.tensor([False, True])
    motion = generate_windows(
        Ramp(),
        torch.zeros(40, 7),
        steps=1,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(0),
        carry_velocity=heavy,
    )
    light, head = motion[21:25].T  # the first window is kept up to frame 20
    after = torch.arange(1.0, 5.0)
    assert torch.allclose(head - light, after * torch.exp(-after / 8.0), atol=1e-5)


@pytest.mark.parametrize("context", [0, 1, 2])
def test_short_contexts(context):
    config = MotionTransformerConfig(5, 7, width=16, layers=1, heads=2, window=20, context=context)
    torch.manual_seed(0)
    network = MotionTransformer(config).eval()
    torch.nn.init.normal_(network.out.weight)
    motion = generate_windows(
        network, torch.randn(60, 7), steps=2, guidance_scale=1.0, generator=torch.Generator(), carry_velocity=True
    )
    assert motion.shape == (60, 5) and torch.isfinite(motion).all()


def test_a_tail_is_continued():
    """The first frames go on from where the tail ended; the tail itself is not returned."""
    network, speech = tiny(), torch.randn(40, 7)

    class Still(torch.nn.Module):
        config = TINY

        def guided(self, x, timestep, speech, context_mask, guidance_scale):
            return torch.zeros_like(x)

    def run(network, tail=None):
        generator = torch.Generator().manual_seed(0)
        return generate_windows(network, speech[20:], steps=2, guidance_scale=1.0, generator=generator, tail=tail)

    tail = torch.full((20, 5), 3.0), speech[:20]
    assert not run(Still()).any()
    assert torch.allclose(run(Still(), tail)[:4, 0], 3 * torch.exp(-torch.arange(1.0, 5.0) / 8), atol=1e-5)
    # Of a tail only as much counts as the network takes for context.
    longer = tuple(torch.cat([torch.full((30, part.shape[1]), 9.0), part]) for part in tail)
    assert run(network, tail).shape == (20, 5) and torch.equal(run(network, longer), run(network, tail))
    assert not torch.allclose(run(network, tail), run(network))


def test_eta_adds_noise_that_the_seed_decides():
    network, speech = tiny(), torch.randn(20, 7)

    def run(eta, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return generate_windows(network, speech, steps=4, guidance_scale=1.0, generator=generator, eta=eta)

    assert torch.equal(run(1.0), run(1.0))
    assert not torch.allclose(run(1.0), run(0.0), atol=1e-3)


@pytest.mark.parametrize("frames", [9, 40])
def test_speech_beyond_the_end_fills_the_last_window(frames):
    """The last frame's own or another, in the last window and nowhere before it."""
    seen = []

    class Listening(torch.nn.Module):
        config = TINY

        def guided(self, x, timestep, speech, context_mask, guidance_scale):
            seen.append(speech)
            return torch.zeros_like(x)

    speech = torch.randn(frames, 7)

    def last_window(beyond):
        seen.clear()
        generator = torch.Generator().manual_seed(0)
        generate_windows(Listening(), speech, steps=1, guidance_scale=1.0, generator=generator, beyond=beyond)
        assert all(window.shape == (1, TINY.window, 7) for window in seen)
        begin = max(0, seams(TINY, frames)[-1] - TINY.context) if frames > 20 else 0
        return seen[-1][0], frames - begin

    window, known = last_window(None)
    assert 0 < known < TINY.window and torch.equal(window[:known], speech[-known:])
    assert torch.equal(window[known:], speech[-1:].expand(TINY.window - known, -1))
    window, known = last_window(torch.arange(7.0))
    assert torch.equal(window[:known], speech[-known:])
    assert torch.equal(window[known:], torch.arange(7.0).expand(TINY.window - known, -1))
