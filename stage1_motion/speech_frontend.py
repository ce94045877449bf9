"""From a recording to what a motion model takes of it: features of a speech encoder, and speech events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import convolve1d

from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.speech.encoder import SpeechEncoder
from shared.speech.features import log_mel
from shared.stages import stage
from shared.weights import bundled
from stage1_motion.interface import Speech
from stage1_motion.speech_events import SpeechEventDetector, SpeechEvents, always_speaking
from stage1_motion.streaming.statistics import SpeechStatistics

# Mean over a frame of 40 ms of windows 10 ms apart, the outer two shared with the neighbours.
_FRAME = np.array([0.5, 1, 1, 1, 0.5]) / 4


class LogMel:
    """Log-mel energies at 25 Hz in the place of a speech encoder."""

    fingerprint = "log-mel"
    size = 40
    """Bands."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """audio: float32 [n], 16 kHz -> float32 [frame_count(n), 40]."""
        fine = log_mel(audio, self.size)
        return convolve1d(fine, _FRAME, axis=0, mode="nearest")[:: SAMPLE_RATE // 160 // FPS].astype(np.float32)


class NoFeatures:
    """In the place of a speech encoder for models that ignore speech."""

    size = 0
    fingerprint = "none"

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """audio: float32 [n], 16 kHz -> float32 [frame_count(n), 0]."""
        return np.zeros((frame_count(len(audio)), 0), np.float32)


_ENCODERS: dict[str, type[LogMel | NoFeatures]] = {"log-mel": LogMel, "none": NoFeatures}


class SpeechFrontend:
    """Encoder and event detector, called with a recording.

    Args:
        encoder: audio [n] -> features [T, size] at 25 Hz.
        detect: features [T, size] and audio [n] -> events.
        statistics: of typical recordings, with which a stream begins.
    """

    def __init__(
        self,
        encoder: SpeechEncoder | LogMel | NoFeatures,
        detect: Callable[[np.ndarray, np.ndarray], SpeechEvents] = always_speaking,
        statistics: SpeechStatistics | None = None,
    ) -> None:
        self.encoder, self.detect = encoder, detect
        self.statistics = statistics or SpeechStatistics.unknown(encoder.size)

    @classmethod
    def load(cls, settings: dict[str, Any], folder: Path, device: str | torch.device = "cpu") -> SpeechFrontend:
        """What the ``model.yaml`` of a folder of weights asks for.

        Args:
            settings: `speech_encoder`: bundled, a folder (also one within `folder`), a name of the hub, `log-mel`, or
                `none`; `layer`: the hidden state to read; `resample`: see `SpeechEncoder`.
            folder: with ``speech_events.safetensors`` for an encoder other than the bundled one, and perhaps
                ``speech_statistics.safetensors``; where the encoder lies in `folder` and there are no events, somebody
                speaks all the time.
            device: where the encoder runs.

        Raises:
            InputError: something is missing.
        """
        name = settings["speech_encoder"]
        if name in _ENCODERS:
            return cls(_ENCODERS[name]())
        name = folder / name if (folder / name).is_dir() else name
        encoder = SpeechEncoder.from_pretrained(
            name, layer=settings.get("layer"), device=device, resample=settings.get("resample", "output")
        )
        events, statistics = folder / "speech_events.safetensors", folder / "speech_statistics.safetensors"
        if isinstance(name, Path) and not events.exists():
            return cls(encoder)
        if name == "bundled" and not events.exists():
            events = bundled("fd2talk/speech_events.safetensors")
        if name == "bundled" and not statistics.exists():
            statistics = bundled("fd2talk/speech_statistics.safetensors")
        known = SpeechStatistics.load(statistics) if statistics.exists() else None
        return cls(encoder, SpeechEventDetector.load(events), known)

    def __call__(self, audio: np.ndarray) -> Speech:
        """audio: float32 [n], mono, 16 kHz -> its speech at 25 frames per second."""
        with stage("speech encoder", frame_count(len(audio))):
            features = self.encoder(audio)
        return Speech(features, self.detect(features, audio), audio)
