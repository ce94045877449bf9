"""3DiFACE's sampling: noise of frames, chunks that equal one pass, and given values at every step."""

import pytest
import torch

from shared.diffusion.sampling import make_schedule
from shared.errors import UsageError
from stage1_motion.models.diface import sampling
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig
from stage1_motion.models.diface.sampling import FrameNoise, chunks, generate

COORDINATES, FRAMES, STEPS = 6, 150, 3
SPEECH = torch.randn(1, FRAMES, 4, generator=torch.Generator().manual_seed(1))
PERSON = torch.randn(1, 8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = DenoiserConfig(COORDINATES, 4, 2, width=8, speech_width=8, kernel=3, levels=1, train_timesteps=20)
    network = Denoiser(config).eval()
    with torch.no_grad():  # so that far frames have an influence that can be seen
        for block in network.backbone.modules():
            if isinstance(block, torch.nn.Conv1d):
                block.weight.mul_(2.5)
    return network


def made(network, one_pass=10_000, **options):
    """All frames, and where the chunks began."""
    options = {"steps": STEPS, "guidance_scale": 1.0, "seed": 3, **options}
    parts = list(generate(network, lambda a, b: SPEECH[:, a:b], FRAMES, PERSON, one_pass=one_pass, **options))
    return torch.cat([part for _, part in parts]), [start for start, _ in parts]


def test_noise_belongs_to_frames():
    noise = FrameNoise(5, 3)
    whole = noise(0, 0, 1100)
    assert whole.shape == (1, 1100, 3)
    for start, stop in ((0, 1), (100, 300), (255, 257), (256, 512), (700, 1100)):
        assert torch.equal(noise(0, start, stop), whole[:, start:stop])
    others = [noise(1, 0, 1100), FrameNoise(6, 3)(0, 0, 1100)]
    for a, b in ((whole, others[0]), (whole, others[1]), (whole[:, :256], whole[:, 256:512])):
        assert abs(float((a * b).mean())) < 0.1  # of variance 1
    assert abs(float(whole.mean())) < 0.1 and abs(float(whole.std()) - 1) < 0.05


@pytest.mark.parametrize(("frames", "size", "margin", "stride"), [(150, 40, 30, 4), (10, 7, 3, 2), (9, 100, 5, 4)])
def test_chunks(frames, size, margin, stride):
    found = list(chunks(frames, size, margin, stride))
    assert [frame for start, stop, _, _ in found for frame in range(start, stop)] == list(range(frames))
    for start, stop, first, last in found:
        assert first % stride == start % stride == 0
        assert first == 0 or start - first >= margin
        assert last == frames or last - stop >= margin


def given(clean, start, stop):
    """Every twentieth frame is given: its number."""
    at = torch.arange(start, stop)[None, :, None]
    return torch.where(at % 20 == 0, at / 100, clean)


@pytest.mark.parametrize("options", [
    {}, {"eta": 1.0}, {"solver": "renoise"}, {"guidance_scale": 0.5, "eta": 0.5}, {"guidance_scale": 0.0},
    {"replace": given}, {"replace": given, "solver": "renoise", "steps": 5}, {"solver": "dpm-solver++"},
])  # fmt: skip
def test_chunks_equal_one_pass(network, options, monkeypatch):
    if options.get("solver") == "dpm-solver++":
        pytest.importorskip("diffusers", reason="the package diffusers is not installed")
    monkeypatch.setattr(sampling, "_CHUNK", 31)
    whole, starts = made(network, **options)
    parts, started = made(network, one_pass=100, **options)
    assert starts == [0] and started == [0, 32, 64, 96, 128]
    assert torch.allclose(whole, parts, atol=1e-4)
    monkeypatch.setattr(sampling, "_LONGEST_MARGIN", 2)
    assert (made(network, one_pass=100, **options)[0] - whole).abs().max() > 1e-3  # it is the margin that does it


@torch.no_grad()
def literal(network, steps, renoise, eta, replace=lambda clean, start, stop: clean):
    """Eq. 2, or DDIM, written out."""
    alphas = make_schedule(20).alphas_cumprod.tolist()
    noise, timesteps = FrameNoise(3, COORDINATES), [19, 9] if steps == 2 else [19, 14, 9, 4]
    x = noise(0, 0, FRAMES)
    for number, t in enumerate(timesteps):
        clean = replace(network(x, torch.tensor([t]), SPEECH, PERSON), 0, FRAMES)
        if number == len(timesteps) - 1:
            return clean[0]
        a, b = alphas[t], alphas[timesteps[number + 1]]
        fresh = noise(number + 1, 0, FRAMES)
        if renoise:
            x = b**0.5 * clean + (1 - b) ** 0.5 * fresh
        else:
            sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
            x = b**0.5 * clean + (1 - b - sigma**2) ** 0.5 * (x - a**0.5 * clean) / (1 - a) ** 0.5 + sigma * fresh
    return None


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("eta", [None, 0.0, 0.7])
@pytest.mark.parametrize("replace", [None, given])
def test_equation_2_and_ddim(network, steps, eta, replace):
    """eta None is eq. 2: the prediction is noised anew, and what is given replaces it at every step."""
    options = {"solver": "renoise"} if eta is None else {"eta": eta}
    expected = literal(network, steps, eta is None, eta or 0.0, *([replace] if replace else []))
    assert torch.allclose(made(network, steps=steps, replace=replace, **options)[0], expected, atol=1e-5)


def test_what_is_given_shapes_what_is_near(network):
    plain, _ = made(network)
    found, _ = made(network, replace=lambda clean, a, b: torch.where(torch.arange(a, b)[None, :, None] == 75, 2, clean))
    change = (found - plain).abs().amax(1)
    assert (found[75] == 2).all() and change[[73, 74, 76, 77]].min() > 1e-3
    assert change[:20].max() < 1e-5 and change[-20:].max() < 1e-5


def test_seeds_and_guidance(network):
    """The same seed gives the same motion; without speech, speech has no influence."""
    assert torch.equal(made(network)[0], made(network)[0])
    assert not torch.allclose(made(network)[0], made(network, seed=4)[0], atol=1e-2)
    silent = list(generate(network, lambda a, b: 0 * SPEECH[:, a:b], FRAMES, PERSON, steps=STEPS, guidance_scale=0.0,
                           seed=3))[0][1]  # fmt: skip
    assert torch.equal(silent, made(network, guidance_scale=0.0)[0])
    assert not torch.allclose(silent, made(network)[0], atol=1e-3)


def test_what_cannot_be_sampled(network):
    with pytest.raises(UsageError, match="trained with 20 steps, 21 are too many"):
        made(network, steps=21)
    with pytest.raises(UsageError, match="--solver nonsense"):
        made(network, solver="nonsense")
