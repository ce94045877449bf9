"""DiffPoseTalk's denoiser and the transformer of its speech encoder trained together, as in the paper (§3.2.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from shared.media import FPS, SAMPLE_RATE
from shared.motion import Motion
from shared.speech.encoder import SpeechEncoder, encode_resampled, frame_positions, receptive_field
from stage1_motion.models.diffposetalk.denoiser_training import DiffPoseTalkTask
from stage1_motion.models.diffposetalk.network import Denoiser
from stage1_motion.training.clips import Clip
from stage1_motion.training.sounds import Sounds

_FRAME = SAMPLE_RATE // FPS  # samples


def without_features(name: str, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """For `load_clips`: no features, as they are computed in training; somebody speaks all the time."""
    frames = len(motion)
    return np.zeros((frames, 0), np.float32), np.ones(frames, np.float32)


class SpeechAndDenoiser(nn.Module):
    """What is trained: the denoiser, and a model of transformers whose convolutional stem stays as it is."""

    def __init__(self, denoiser: Denoiser, speech: nn.Module) -> None:
        super().__init__()
        self.denoiser, self.speech = denoiser, speech
        self.speech.requires_grad_(True)
        self.speech.feature_extractor.requires_grad_(False)
        config: Any = speech.config
        self.field, self.stride = receptive_field(config.conv_kernel, config.conv_stride)

    def features(self, audio: Tensor, frames: int) -> Tensor:
        """Audio [B, n] that begins and ends half a field outside its frames -> [B, frames, S]."""
        return encode_resampled(self.speech, audio, frame_positions(frames, self.field, self.stride))


class SpeechAndDenoiserTask(DiffPoseTalkTask):
    """`DiffPoseTalkTask` on sound instead of features.

    Args:
        encoder: gives the model of transformers that training starts from.
    """

    def __init__(self, *args: Any, encoder: SpeechEncoder, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "speech_noise": 0.0})
        self.model = SpeechAndDenoiser(cast(Denoiser, self.model), encoder.model)
        self.normalise = encoder.normalise
        self.sounds = Sounds(encoder.normalise, self.clips, self.development)

    def _piece(self, clip: Clip, first: int, count: int, own: bool = True) -> Tensor:
        """[n]: the sound of frames first to first + count and half a field round them; silence beyond the ends.

        Silence alone where it is not this process's to read.
        """
        assert isinstance(self.model, SpeechAndDenoiser)
        half = self.model.field // 2
        start, stop = first * _FRAME - half, (first + count) * _FRAME + half
        piece = np.zeros(stop - start, np.float32)
        if own:
            inside = self.sounds.piece(clip, max(start, 0), max(stop, 0))
            piece[max(-start, 0) : max(-start, 0) + len(inside)] = inside
        return torch.from_numpy(piece)

    def speech_of(self, clip: Clip, at: np.ndarray, own: bool) -> dict[str, Tensor]:
        """The sound of these frames."""
        return {"audio": self._piece(clip, int(at[0]), len(at), own)}

    def features(self, model: nn.Module, clip: Clip) -> Tensor:
        """See the base class."""
        assert isinstance(model, SpeechAndDenoiser)
        audio = self._piece(clip, 0, len(clip.speech))[None].to(next(model.parameters()).device)
        return model.features(audio, len(clip.speech))[0].float()

    def denoiser(self, model: nn.Module) -> Denoiser:
        """See the base class."""
        assert isinstance(model, SpeechAndDenoiser)
        return model.denoiser

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 6; A_0:2Tw is encoded from the sound of both windows."""
        assert isinstance(model, SpeechAndDenoiser)
        speech = model.features(batch["audio"], 2 * self.config.frames)
        return super().loss(model, {**batch, "speech": speech})

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the weights of both, the style encoder, and ``model.yaml``."""
        assert isinstance(model, SpeechAndDenoiser)
        self.save_denoiser(model.denoiser, folder, normalise_speech=False)
        speech: Any = model.speech
        speech.save_pretrained(folder / "speech_encoder")
        (folder / "speech_encoder" / "preprocessor_config.json").write_text(
            json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": self.normalise})
        )
        settings = {"model": "diffposetalk", "speech_encoder": "speech_encoder", "resample": "stem"}
        (folder / "model.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
