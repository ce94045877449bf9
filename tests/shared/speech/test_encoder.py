"""The speech encoder: frames, windows, layers, models of the family, and missing ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model
from voice import voice

from shared.errors import InputError
from shared.media import frame_count, read_audio
from shared.speech.encoder import SpeechEncoder
from shared.speech.training.student import encoder_config

DEMO = Path(__file__).parents[3] / "assets" / "demo"


@pytest.fixture(scope="module")
def tiny() -> SpeechEncoder:
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, layers=2, heads=2, intermediate_size=64, conv_dim=(16, 16, 32))
    return SpeechEncoder(Wav2Vec2Model(encoder_config(**sizes)))


@pytest.fixture(scope="module")
def bundled() -> SpeechEncoder:
    return SpeechEncoder.from_pretrained("bundled")


@pytest.mark.parametrize(
    "samples", [1, 399, 639, 640, 641, 1600, 16000, 16001, 50_000, 8 * 16000 + 1, 9 * 16000 + 7, 17 * 16000]
)
def test_one_feature_per_frame(tiny, samples):
    features = tiny(voice(samples / 16000)[:samples])
    assert features.shape == (frame_count(samples), 32) and features.dtype == np.float32
    assert np.isfinite(features).all()


def test_nothing_and_stereo(tiny):
    assert tiny(np.zeros(0, np.float32)).shape == (0, 32)
    with pytest.raises(InputError, match="mono"):
        tiny(np.zeros((2, 16000), np.float32))


def test_bundled_is_small_finite_and_repeats_itself(bundled):
    assert sum(p.numel() for p in bundled.model.parameters()) <= 4_000_000
    assert bundled.size <= 256
    audio = voice(2.0)
    features = bundled(audio)
    assert features.shape == (50, bundled.size) and np.isfinite(features).all() and features.std() > 0.01
    assert np.array_equal(features, bundled(audio))
    assert np.isfinite(bundled(np.zeros(8000, np.float32))).all()


def test_bundled_windows_leave_no_seam(bundled):
    audio = np.concatenate([read_audio(path) for path in sorted(DEMO.glob("*.wav"))])[: 25 * 16000]
    pieces = bundled(audio)
    others = SpeechEncoder(bundled.model, layer=bundled.layer, window=11)(audio)
    assert pieces.shape == others.shape
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in zip(pieces.T, others.T)]
    assert np.median(likeness) > 0.97
    steps = np.linalg.norm(np.diff(pieces, axis=0), axis=1)
    seams = np.concatenate([steps[s : s + 25] for s in (175, 350)])
    assert np.percentile(seams, 90) <= np.percentile(steps, 95)


def test_bundled_moves_with_the_sound(bundled):
    audio = np.pad(voice(3.0), (0, 6400))
    late = np.pad(audio, (6400, 0))[: len(audio)]
    now, then = bundled(audio), bundled(late)
    a, b = now[5:60], then[15:70]
    correlation = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(a.shape[1]) if a[:, k].std() > 0.05 * now.std()]
    assert np.median(correlation) > 0.9


def test_stream_gives_the_same_piece_by_piece(tiny):
    audio = voice(20.0)
    pieces = list(tiny.stream(audio))
    assert len(pieces) == 3
    assert np.array_equal(np.concatenate(pieces), tiny(audio))


def test_frames_are_centred_on_their_time():
    """A click lights up the frame at whose time it sounds, whatever the stem's window and stride."""
    for kernels, strides in [((400, 4, 3), (80, 2, 2)), ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))]:
        torch.manual_seed(1)
        sizes = dict(hidden_size=32, layers=1, heads=2, intermediate_size=32)
        config = encoder_config(**sizes, conv_dim=(16,) * len(kernels), conv_kernel=kernels, conv_stride=strides)
        encoder = SpeechEncoder(Wav2Vec2Model(config), layer=0, normalise=False)
        encoder.model.encoder.pos_conv_embed = torch.nn.Identity()  # it looks round itself
        silence, click = np.zeros(32_000, np.float32), np.zeros(32_000, np.float32)
        click[640 * 20 - 20 : 640 * 20 + 20] = 0.5
        change = np.abs(encoder.model.feature_projection and encoder(click) - encoder(silence)).sum(1)
        assert change.argmax() == 20


def test_layer_is_chosen_and_checked(tiny):
    audio = voice(1.0)
    first = SpeechEncoder(tiny.model, layer=0)(audio)
    assert not np.allclose(first, tiny(audio))
    assert np.allclose(SpeechEncoder(tiny.model, layer=2)(audio), tiny(audio), atol=1e-5)
    with pytest.raises(InputError, match="layer 7"):
        SpeechEncoder(tiny.model, layer=7)


def test_any_folder_of_the_family_is_a_drop_in(tmp_path):
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    stem = dict(conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2)
    Wav2Vec2Model(Wav2Vec2Config(**sizes, **stem)).save_pretrained(tmp_path / "wav2vec2")
    HubertModel(HubertConfig(**sizes, **stem)).save_pretrained(tmp_path / "hubert")
    (tmp_path / "hubert" / "preprocessor_config.json").write_text(
        '{"do_normalize": false, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}'
    )
    for name in ("wav2vec2", "hubert"):
        encoder = SpeechEncoder.from_pretrained(tmp_path / name, layer=1)
        assert encoder.normalise == (name == "wav2vec2")
        assert encoder(voice(1.3)).shape == (33, 32)


def test_missing_and_foreign_models_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="could not be downloaded"):
        SpeechEncoder.from_pretrained("nobody/no-such-encoder")
    with pytest.raises(InputError, match="no speech encoder"):
        SpeechEncoder.from_pretrained(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="family"):
        SpeechEncoder.from_pretrained(tmp_path)
