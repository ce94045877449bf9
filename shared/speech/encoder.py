"""Speech features at the rate of video frames: the bundled encoder or any of the wav2vec2, HuBERT, WavLM family."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.errors import InputError
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.speech.features import unit_variance
from shared.speech.wav2vec2 import load_wav2vec2
from shared.weights import bundled

_FRAME = SAMPLE_RATE // FPS  # samples
_EXTRA = "fd2talk[encoders]"


class SpeechEncoder:
    """Features of speech at 25 Hz, frame i centred on i/25 s.

    Long audio is encoded in windows that overlap by a second and are cross-faded there, so that memory does not grow
    with the length and no seams remain.

    Args:
        model: of the wav2vec2 family: a strided convolutional stem, then a transformer.
        layer: the hidden state to read: 0 the transformer's input, -1 its output; None: the layer named in the model's
            config (`feature_layer`), else its output.
        normalise: scale the audio to zero mean and unit variance first, as most of the family require.
        device: device of the model.
        window: length of a window, seconds.
        overlap: overlap of two windows, seconds.
        resample: where features come to 25 Hz: "output" interpolates them, "stem" the transformer's input (as in
            FaceFormer and DiffPoseTalk §3.1), for models of transformers that were trained so.
    """

    def __init__(
        self,
        model: Any,
        *,
        layer: int | None = None,
        normalise: bool = True,
        device: str | torch.device = "cpu",
        window: float = 8.0,
        overlap: float = 1.0,
        resample: str = "output",
    ) -> None:
        if resample not in ("output", "stem") or (resample == "stem" and layer not in (None, -1)):
            raise InputError(f"a speech encoder resamples its output, or its stem before layer -1, not {resample!r}")
        self.model = model.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.normalise, self.resample = normalise, resample
        self.layer = layer if layer is not None else getattr(model.config, "feature_layer", -1)
        layers = model.config.num_hidden_layers
        if not -1 <= self.layer <= layers:
            raise InputError(f"the speech encoder has layers -1 to {layers}, there is no layer {self.layer}")
        if self.layer == layers:  # the same output, but after the last norm in every version of transformers
            self.layer = -1
        self.size: int = model.config.hidden_size
        self._field, self._stride = receptive_field(model.config.conv_kernel, model.config.conv_stride)
        self._window, self._overlap = round(window * FPS), round(overlap * FPS)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of layer and weights: features of equal ones are the same."""
        digest = hashlib.sha256(str(self.layer).encode())
        for tensor in self.model.state_dict().values():
            digest.update(tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path = "bundled",
        *,
        layer: int | None = None,
        device: str | torch.device = "cpu",
        resample: str = "output",
    ) -> SpeechEncoder:
        """Load the bundled encoder ("bundled"), a folder in the format of transformers, or a model of the hub.

        A hub model is looked up on this computer first and downloaded only if it is not there.

        Args:
            name_or_folder: "bundled", a folder, or the name of a hub model.
            layer: the hidden state to read, as in the constructor.
            device: device of the model.
            resample: as in the constructor.

        Raises:
            InputError: there is no such model, it is not of the family, or it cannot be downloaded now.
        """
        folder = bundled("speech_encoder") if str(name_or_folder) == "bundled" else Path(name_or_folder)
        if not str(name_or_folder):
            raise InputError("the name of the speech encoder is empty")
        if folder.is_dir():
            model, normalise = _load(str(folder), local=True, foreign=resample == "stem")
        elif folder.is_absolute() or len(folder.parts) > 2:
            raise InputError(f"there is no speech encoder in {folder}")
        else:
            try:
                model, normalise = _load(str(name_or_folder), local=True)
            except InputError:
                model, normalise = _load(str(name_or_folder), local=False)
        return cls(model, layer=layer, normalise=normalise, device=device, resample=resample)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Encode a recording.

        Args:
            audio: float32 [n], mono, 16 kHz, in [-1, 1]; n of any size.

        Returns:
            float32 [frame_count(n), size].
        """
        features, done = np.empty((frame_count(len(audio)), self.size), np.float32), 0
        for window in self.stream(audio):
            features[done : done + len(window)] = window
            done += len(window)
        return features

    def stream(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features of `__call__` window by window, float32 [t, size]."""
        if audio.ndim != 1:
            raise InputError(f"the speech encoder takes mono audio [n], not an array of shape {audio.shape}")
        audio = unit_variance(audio) if self.normalise and len(audio) else audio.astype(np.float32)
        total, fade = frame_count(len(audio)), self._overlap
        # Outermost frames of a window lack context: they do not count in the cross-fade.
        ramp = np.clip((np.arange(fade, dtype=np.float32) - fade / 5 + 1) / (fade * 3 / 5 + 1), 0, 1)[:, None]
        first, tail = 0, None
        while first < total:
            last = min(first + self._window, total)
            if total - last <= fade:  # one slightly longer window instead of a tiny last one
                last = total
            features = self.frames(audio, first, last)
            if tail is not None:
                features[:fade] = (1 - ramp) * tail + ramp * features[:fade]
            if last == total:
                yield features
                return
            yield features[:-fade]
            tail, first = features[-fade:], last - fade

    @torch.inference_mode()
    def frames(self, audio: np.ndarray, first: int, last: int) -> np.ndarray:
        """Features of the frames first..last-1 of scaled audio in one window, silence beyond its ends.

        Around these frames only the sound under their first and last feature is looked at.
        """
        # Half a field before the first frame's centre, so that feature 0 is centred on it (almost: see `offset`).
        start, stop = first * _FRAME - self._field // 2, last * _FRAME + self._field // 2
        piece = np.zeros(stop - start, np.float32)
        inside = audio[max(start, 0) : max(stop, 0)]
        piece[max(-start, 0) : max(-start, 0) + len(inside)] = inside
        samples = torch.from_numpy(piece)[None].to(self.device)
        at = frame_positions(last - first, self._field, self._stride)
        if self.resample == "stem":
            return encode_resampled(self.model, samples, at)[0].float().cpu().numpy()
        output = self.model(samples, output_hidden_states=self.layer != -1, return_dict=True)
        hidden = output.last_hidden_state if self.layer == -1 else output.hidden_states[self.layer]
        hidden = hidden[0].float().cpu().numpy()
        at = np.clip(at, 0, len(hidden) - 1)
        low = np.minimum(at.astype(int), max(len(hidden) - 2, 0))
        high = np.minimum(low + 1, len(hidden) - 1)
        part = (at - low)[:, None].astype(np.float32)
        return hidden[low] * (1 - part) + hidden[high] * part


def frame_positions(frames: int, field: int, stride: int) -> np.ndarray:
    """[frames]: where, in features of audio that begins half a field before the first frame, frames are centred.

    Feature j covers the samples [j stride, j stride + field): its centre is j stride + (field - 1) / 2.
    """
    return (np.arange(frames) * _FRAME + field // 2 - (field - 1) / 2) / stride


def encode_resampled(model: Any, audio: torch.Tensor, at: np.ndarray) -> torch.Tensor:
    """The output of a model of transformers whose stem's features are interpolated between stem and transformer.

    Args:
        model: wav2vec2, HuBERT or WavLM.
        audio: float32 [B, n], 16 kHz.
        at: [T], places among the stem's features, see `frame_positions`.

    Returns:
        [B, T, S].
    """
    stem = model.feature_extractor(audio).transpose(1, 2)  # [B, t, C]
    place = torch.from_numpy(np.clip(at, 0, stem.shape[1] - 1)).to(stem)
    low = place.long().clamp(max=max(stem.shape[1] - 2, 0))
    part = (place - low)[:, None]
    high = (low + 1).clamp(max=stem.shape[1] - 1)
    projected = model.feature_projection(stem[:, low] * (1 - part) + stem[:, high] * part)  # [B, T, S]
    projected = projected[0] if isinstance(projected, tuple) else projected
    return model.encoder(projected, return_dict=True).last_hidden_state


def receptive_field(kernels: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """Return (samples under one feature, samples from one feature to the next) of a stack of convolutions."""
    field, stride = 1, 1
    for kernel, step in zip(kernels, strides):
        field, stride = field + (kernel - 1) * stride, stride * step
    return field, stride


def _load(name: str, *, local: bool, foreign: bool = False) -> tuple[torch.nn.Module, bool]:
    """The model in float32, of transformers if it is to be `foreign`, and whether its audio is to be normalised."""
    folder = Path(name)
    if local and not foreign and folder.is_dir() and (model := load_wav2vec2(folder)) is not None:
        try:
            settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = {}
        return model, bool(settings.get("do_normalize", True))
    try:
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
    except ImportError as error:
        raise InputError(f'the speech encoder {name} needs the package transformers: pip install "{_EXTRA}"') from error
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        if not hasattr(config, "conv_kernel") or not hasattr(config, "conv_stride"):
            raise InputError(f"{name} is not a speech encoder of the wav2vec2, HuBERT or WavLM family")
        with _quiet():
            model = AutoModel.from_pretrained(name, config=config, torch_dtype=torch.float32, local_files_only=local)
    except (OSError, ValueError) as error:
        where = "in that folder or on this computer" if local else "on this computer, and it could not be downloaded"
        raise InputError(f"the speech encoder {name} was not found {where}") from error
    try:
        normalise = AutoFeatureExtractor.from_pretrained(name, local_files_only=local).do_normalize
    except (OSError, ValueError, AttributeError):
        normalise = True  # without settings beside the weights: the family's default
    return model, bool(normalise)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the reports of transformers on unused heads and its progress bar for a load of milliseconds."""
    from transformers.utils import logging as transformers_logging

    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
