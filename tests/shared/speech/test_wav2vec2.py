"""The bundled speech encoder without transformers: transformers' numbers, and its own network alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, Wav2Vec2Model

from shared.errors import InputError
from shared.speech.encoder import SpeechEncoder
from shared.speech.training.student import encoder_config
from shared.speech.wav2vec2 import Wav2Vec2, load_wav2vec2
from shared.weights import bundled


def test_bundled_gives_transformers_numbers():
    ours = load_wav2vec2(bundled("speech_encoder")).eval()
    theirs = AutoModel.from_pretrained(bundled("speech_encoder"), torch_dtype=torch.float32).eval()
    audio = torch.randn(2, 24_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = ours(audio), theirs(audio, output_hidden_states=True)
    assert len(found.hidden_states) == len(expected.hidden_states) == 5
    for a, b in zip(found.hidden_states[:-1], expected.hidden_states):  # the last is normed in some releases
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state, atol=2e-5, rtol=1e-4)


def test_what_training_saves_is_read(tmp_path):
    torch.manual_seed(0)
    model = Wav2Vec2Model(encoder_config(hidden_size=32, layers=2, heads=2, intermediate_size=64)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    encoder = SpeechEncoder.from_pretrained(tmp_path)
    assert isinstance(encoder.model, Wav2Vec2) and not encoder.normalise
    audio = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    np.testing.assert_allclose(encoder(audio), SpeechEncoder(model, normalise=False)(audio), atol=2e-5)


@pytest.mark.parametrize("change", [{"do_stable_layer_norm": False}, {"model_type": "hubert"}, {"hidden_act": "relu"}])
def test_other_networks_are_left_to_transformers(tmp_path, change):
    settings = json.loads((bundled("speech_encoder") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | change))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert load_wav2vec2(tmp_path) is None


def test_weights_of_another_size_are_one_line(tmp_path):
    settings = json.loads((bundled("speech_encoder") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"hidden_size": 128}))
    (tmp_path / "model.safetensors").symlink_to(bundled("speech_encoder") / "model.safetensors")
    with pytest.raises(InputError, match="not the speech encoder of its config.json"):
        load_wav2vec2(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings | {"conv_dim": "wide"}))
    with pytest.raises(InputError, match="not the settings of a speech encoder"):
        load_wav2vec2(tmp_path)


def test_the_bundled_encoder_needs_no_transformers():
    code = "import sys; sys.modules['transformers'] = None; from shared.speech.encoder import SpeechEncoder as E; "
    code += "import numpy as np; assert E.from_pretrained()(np.zeros(1600, np.float32)).shape == (3, 256)\n"
    code += "from shared.errors import InputError\ntry:\n    E.from_pretrained('nobody/nothing')\n"
    code += "except InputError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "fd2talk[encoders]"' in done.stdout, done.stderr
