from pathlib import Path

import comfyui
import numpy as np
import pytest
import torch
from material import DEMO, SPEECH, portrait

from shared.media import read_audio

FOLDER = Path(__file__).parents[3] / "integrations" / "comfyui"


class LoadImage:
    """As ComfyUI's: IMAGE [1, H, W, 3] in [0, 1]; of a small copy of the demo portrait."""

    CATEGORY, FUNCTION, RETURN_TYPES = "image", "load", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ([path.name for path in DEMO.glob("*.jpg")], {"image_upload": True})}}

    def load(self, image):
        return (torch.from_numpy(np.asarray(portrait(240, Path(image).stem), np.float32) / 255)[None],)


class LoadAudio:
    """As ComfyUI's: AUDIO; of 1.6 seconds of the demo recording, in stereo at 48 kHz."""

    CATEGORY, FUNCTION, RETURN_TYPES = "audio", "load", ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"audio": ([path.name for path in DEMO.glob("*.wav")], {"audio_upload": True})}}

    def load(self, audio):
        samples = np.repeat(read_audio(SPEECH)[8000 : 8000 + 25600], 3)
        return ({"waveform": torch.from_numpy(np.stack([samples, samples]))[None], "sample_rate": 48000},)


CORE = {"LoadImage": LoadImage, "LoadAudio": LoadAudio}


@pytest.fixture(scope="session")
def nodes():
    """The folder of nodes, as ComfyUI loads it."""
    return comfyui.load(FOLDER)


@pytest.fixture(scope="session")
def part(nodes):
    """A module of the folder by name."""
    import sys

    return lambda name: sys.modules[f"{nodes.__name__}.{name}"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    found = comfyui.Host(tmp_path / "comfyui")
    found.install(monkeypatch)
    return found


@pytest.fixture
def executor(nodes, host):
    return comfyui.Executor({**CORE, **nodes.NODE_CLASS_MAPPINGS})


@pytest.fixture
def all_nodes(nodes, host):
    return {**CORE, **nodes.NODE_CLASS_MAPPINGS}
