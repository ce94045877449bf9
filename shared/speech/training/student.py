"""The bundled encoder: a small Wav2Vec2Model whose first layer starts as a filterbank, and its training heads."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from shared.media import SAMPLE_RATE
from shared.speech.encoder import receptive_field
from shared.speech.training.recordings import PHONES


def encoder_config(
    *,
    hidden_size: int = 256,
    layers: int = 4,
    heads: int = 4,
    intermediate_size: int = 768,
    conv_dim: tuple[int, ...] = (160, 192, 256),
    conv_kernel: tuple[int, ...] = (400, 4, 3),
    conv_stride: tuple[int, ...] = (80, 2, 2),
    dropout: float = 0.05,
) -> Wav2Vec2Config:
    """Configure a Wav2Vec2Model small enough for a laptop: 50 features a second, 3.4 M parameters.

    The published stem runs seven 512-channel convolutions, the first of them 3200 times a second, and costs more than
    the whole transformer; here the first layer has the window (25 ms) and hop (5 ms) of a spectrogram.
    """
    return Wav2Vec2Config(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate_size,
        conv_dim=tuple(conv_dim),
        conv_kernel=tuple(conv_kernel),
        conv_stride=tuple(conv_stride),
        num_feat_extract_layers=len(conv_dim),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
        vocab_size=len(PHONES) + 1,
    )


def start_as_filterbank(model: Wav2Vec2Model, excerpts: np.ndarray) -> None:
    """Initialise the first convolution with windowed tones at mel-spaced pitches, in four phases each.

    Rectified by the activation, four phases make a band's magnitude: a network that starts from a spectrum needs
    minutes where one that starts from noise needs hours. Each filter is scaled to unit output on speech, so that the
    layer norm behind it does not suppress high bands; the biases are a reference level for that norm, which removes the
    level of its input.

    Args:
        model: the encoder to initialise.
        excerpts: float32 [B, n] of speech, zero mean and unit variance.
    """
    convolution = model.feature_extractor.conv_layers[0].conv
    channels, _, width = convolution.weight.shape
    bands = channels // 4
    mel = np.linspace(_mel(80), _mel(7400), bands)
    time = (np.arange(width) - (width - 1) / 2) / SAMPLE_RATE
    filters = np.empty((channels, width))
    for band, pitch in enumerate(700 * (10 ** (mel / 2595) - 1)):
        bandwidth = 24.7 + pitch / 9.26  # of human hearing at this pitch (Glasberg and Moore 1990)
        window = np.exp(-0.5 * (time * 2 * np.pi * bandwidth / 2) ** 2) * np.hanning(width)
        for phase in range(4):
            filters[4 * band + phase] = window * np.cos(2 * np.pi * pitch * time + phase * np.pi / 2)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(filters)[:, None].float())  # [channels, 1, width]
        convolution.bias.zero_()
        scale = convolution(torch.from_numpy(excerpts)[:, None]).square().mean((0, 2)).sqrt()  # [channels]
        convolution.weight.div_(scale[:, None, None] + 1e-6)
        convolution.bias.normal_(std=0.3)


def _mel(frequency: float) -> float:
    return 2595 * np.log10(1 + frequency / 700)


class Student(nn.Module):
    """Encoder and training heads.

    Args:
        config: of the encoder.
        teacher_size: size of the teacher's embedding.
        mouth_size: size of the mouth's description (shared.speech.training.mouth); 0 for training on sound alone.
        match_size: size of the embeddings that match speech with mouths.
    """

    def __init__(self, config: Wav2Vec2Config, *, teacher_size: int, mouth_size: int = 0, match_size: int = 64) -> None:
        super().__init__()
        self.encoder = Wav2Vec2Model(config)
        self.pad = receptive_field(config.conv_kernel, config.conv_stride)[0] // 2
        size = config.hidden_size
        self.teacher = nn.Linear(size, teacher_size)
        self.phones = nn.Linear(size, len(PHONES))
        self.ctc = nn.Linear(size, len(PHONES) + 1)  # the last symbol is CTC's blank
        if mouth_size:
            self.mouth = nn.Sequential(nn.Conv1d(size, 128, 5, padding=2), nn.GELU(), nn.Conv1d(128, mouth_size, 1))
            self.match_speech = nn.Conv1d(size, match_size, 5, padding=2)
            self.match_mouth = nn.Sequential(
                nn.Conv1d(mouth_size, 128, 5, padding=2), nn.GELU(), nn.Conv1d(128, match_size, 1)
            )

    def forward(self, audio: Tensor) -> Tensor:
        """Encode normalised audio [B, 320 F] to features [B, F, hidden_size], feature j centred on sample 320 j."""
        padded = nn.functional.pad(audio, (self.pad, self.pad))  # [B, 320 F + 2 pad]
        return self.encoder(padded).last_hidden_state[:, : audio.shape[1] // 320]  # [B, F, hidden_size]
