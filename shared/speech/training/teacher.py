"""The speech embedding from which the bundled encoder is distilled (training only; needs onnxruntime)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import Fd2TalkError, InputError
from shared.media import SAMPLE_RATE, frame_count

_HOP = SAMPLE_RATE // 100  # one mel frame
_WINDOW = 76  # mel frames under one embedding: 0.775 s
_CENTER = (_WINDOW - 1) * _HOP // 2 + 200  # samples from the start of a window (25 ms mel frames) to its middle


class SpeechEmbedding:
    """Google's speech embedding: 96 numbers from 0.775 s of audio, at any hop.

    Raises:
        InputError: the folder lacks one of the two networks.
        Fd2TalkError: onnxruntime is not installed.
    """

    size = 96

    def __init__(self, folder: str | Path) -> None:
        paths = [Path(folder) / name for name in ("melspectrogram.onnx", "embedding_model.onnx")]
        for path in paths:
            if not path.exists():
                raise InputError(f"{folder}: not a folder with the speech embedding ({path.name} is missing)")
        try:
            import onnxruntime
        except ImportError as error:
            raise Fd2TalkError("the speech embedding needs onnxruntime: pip install 'fd2talk[train]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        sessions = [onnxruntime.InferenceSession(str(p), options, providers=["CPUExecutionProvider"]) for p in paths]
        self._mel, self._embedding = sessions

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Embed at 25 Hz, frame i from the window centred on i/25 s; beyond the ends there is silence.

        Args:
            audio: float32 [n] at 16 kHz.

        Returns:
            float32 [frame_count(n), 96].
        """
        frames = frame_count(len(audio))
        padded = np.zeros((frames * 4 + _WINDOW) * _HOP + 400, np.float32)
        padded[_CENTER : _CENTER + len(audio)] = audio
        (mel,) = self._mel.run(None, {self._mel.get_inputs()[0].name: padded[None] * 32767})
        mel = mel[0, 0] / 10 + 2  # as the embedding was trained
        windows = np.stack([mel[4 * i : 4 * i + _WINDOW] for i in range(frames)])[..., None].astype(np.float32)
        name = self._embedding.get_inputs()[0].name
        # Small batches: larger ones exceed the processor's cache and are slower.
        parts = [self._embedding.run(None, {name: windows[i : i + 4]})[0] for i in range(0, frames, 4)]
        return np.concatenate(parts).reshape(frames, self.size)
