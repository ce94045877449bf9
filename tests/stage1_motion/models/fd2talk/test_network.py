"""The transformer against the paper: eq. 4, context, classifier-free guidance."""

import numpy as np
import pytest
import torch

from shared.diffusion.sampling import make_schedule, sample
from shared.errors import InputError
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig, alignment_mask
from stage1_motion.windowed_sampling import generate_windows

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


def test_context_mask_frames_matter():
    network, schedule = tiny(), make_schedule(100)
    speech, noise = torch.randn(1, 20, 7), torch.randn(1, 20, 5)
    context_mask = (torch.arange(20) < 6)[None, :, None]
    results = []
    for level in (0.0, 2.0):
        values = torch.full((1, 20, 5), level)

        def predict(x, t):
            return network(x, t, speech, context_mask)

        result = sample(predict, noise, schedule, 4, known=(values, context_mask.expand_as(values)))
        results.append(result[:, 6:])
    assert (results[0] - results[1]).abs().max() > 1e-3


def test_guidance_of_one_is_the_plain_network_and_zero_ignores_speech():
    network = tiny()
    x, speech, time = torch.randn(2, 20, 5), torch.randn(2, 20, 7), torch.tensor([3, 700])
    plain = network(x, time, speech)
    assert torch.allclose(network.guided(x, time, speech, None, 1.0), plain)
    nobody = network(x, time, speech, cond_drop_mask=torch.tensor([True, True]))
    assert torch.allclose(network.guided(x, time, speech, None, 0.0), nobody, atol=1e-5)
    assert torch.allclose(network.guided(x, time, speech, None, 2.0), 2 * plain - nobody, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 33}, {"heads": 3}, {"heads": 0}, {"layers": 0}, {"context": 20}, {"alignment": -1}, {"dropout": 1}],
)
def test_sizes_that_do_not_fit_are_one_line(wrong):
    with pytest.raises(InputError, match=f"network: .*`{next(iter(wrong))}`"):
        MotionTransformerConfig(**{**TINY.to_dict(), **wrong})


@pytest.mark.slow
def test_paper_configuration_trains_a_step_and_samples_at_full_size():
    """Two 6-layer transformers on features of wav2vec2-base's size, 25-frame sequences, 1000 and 50 steps."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from shared.config import Config
    from shared.speech.encoder import SpeechEncoder
    from shared.weights import bundled_config

    encoder = SpeechEncoder(Wav2Vec2Model(Wav2Vec2Config()))  # wav2vec2-base's architecture, random weights
    speech = torch.from_numpy(encoder(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)))
    for part, coefficients in (("expression", 64), ("pose", 6)):
        config = Config.load(bundled_config(f"train/paper/stage1_motion/fd2talk/{part}.yaml")).resolved()
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
