"""The small encoder: filterbank initialisation, size, agreement with the deployed encoder."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Model
from voice import voice

from shared.speech.encoder import SpeechEncoder
from shared.speech.features import unit_variance
from shared.speech.training.student import Student, encoder_config, start_as_filterbank


def test_filterbank_initialisation_separates_pitches():
    model = Wav2Vec2Model(encoder_config())
    start_as_filterbank(model, np.random.default_rng(0).standard_normal((4, 16000)).astype("f4"))
    convolution = model.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        convolution.bias.zero_()
        loudest = []
        for pitch in (300, 1000, 3000):
            tone = torch.sin(2 * torch.pi * pitch * torch.arange(4000) / 16000)[None, None]
            loudest.append(int(convolution(tone).square().mean(2).view(-1, 4).sum(1).argmax()))
    assert loudest[0] < loudest[1] < loudest[2]


def test_published_size_is_small():
    student = Student(encoder_config(), teacher_size=96)
    assert sum(p.numel() for p in student.encoder.parameters()) < 4_000_000


@pytest.fixture(scope="module")
def tiny() -> SpeechEncoder:
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, layers=2, heads=2, intermediate_size=64, conv_dim=(16, 16, 32))
    return SpeechEncoder(Wav2Vec2Model(encoder_config(**sizes)))


def test_student_and_deployed_encoder_agree(tiny):
    """What is trained and what is used see the sound at the same place."""
    student = Student(tiny.model.config, teacher_size=4)
    student.encoder = tiny.model
    audio = voice(2.0)
    trained = student.eval()(torch.from_numpy(unit_variance(audio))[None])[0, ::2].detach().numpy()
    assert np.allclose(trained, tiny(audio), atol=2e-2 * np.abs(trained).max())
