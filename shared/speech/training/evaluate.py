"""Information in a speech feature: phones of unseen speakers by a linear readout, lips of unseen people by ridge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from shared.metrics.lips import best_lag_correlation
from shared.speech.features import log_mel
from shared.speech.training.recordings import PHONES, Recording

# A function from audio float32 [n] at 16 kHz to features [frame_count(n), D] at 25 Hz.
Features = Callable[[np.ndarray], np.ndarray]


def log_mel_in_context(audio: np.ndarray, context: int = 10) -> np.ndarray:
    """Baseline of phone accuracy: 40 log-mel bands at 100 Hz, ±`context` frames around every fourth frame."""
    mel = log_mel(audio)
    at = 4 * np.arange(-(-len(mel) // 4))[:, None] + np.arange(-context, context + 1)
    return mel[np.clip(at, 0, len(mel) - 1)].reshape(len(at), -1)


def log_mel_at_25(audio: np.ndarray) -> np.ndarray:
    """Baseline of the lip ridge: 40 log-mel bands, each frame the mean of the four 10 ms frames around it."""
    mel = log_mel(audio)
    at = 4 * np.arange(-(-len(mel) // 4))[:, None] + np.arange(-2, 2)
    return mel[np.clip(at, 0, len(mel) - 1)].mean(1)


def phone_accuracy(
    features: Features, train: list[Recording], test: list[Recording], *, frames: int = 60_000, iterations: int = 60
) -> float:
    """Frame-level accuracy (per cent) of multinomial logistic regression from frozen features to 39 phones + silence.

    Labels are forced alignments at 25 Hz, silence included; features are standardised with the training speakers'
    statistics; weight decay 1e-4; fitted by L-BFGS. Higher is better.

    Args:
        features: the feature to measure.
        train: recordings of the training speakers.
        test: recordings of the test speakers.
        frames: at most so many random training frames are used.
        iterations: of L-BFGS.
    """
    x, y = _labelled(features, train, frames)
    mean, std = x.mean(0), x.std(0) + 1e-5
    inputs, labels = torch.from_numpy((x - mean) / std), torch.from_numpy(y)
    weight = torch.zeros(x.shape[1], len(PHONES), requires_grad=True)
    bias = torch.zeros(len(PHONES), requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=iterations, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(inputs @ weight + bias, labels) + 1e-4 * weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    test_x, test_y = _labelled(features, test, None)
    with torch.no_grad():
        guess = (torch.from_numpy((test_x - mean) / std) @ weight + bias).argmax(1).numpy()
    return 100 * float((guess == test_y).mean())


def _labelled(features: Features, recordings: list[Recording], limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = [], []
    for recording in recordings:
        if recording.phones is None:
            continue
        x = features(recording.audio.astype(np.float32) / 32768)
        y = recording.phones[::4]
        count = min(len(x), len(y))
        xs.append(x[:count].astype(np.float32))
        ys.append(y[:count].astype(np.int64))
    x, y = np.concatenate(xs), np.concatenate(ys)
    if limit and len(x) > limit:
        chosen = np.random.default_rng(0).choice(len(x), limit, replace=False)
        x, y = x[chosen], y[chosen]
    return x, y


def in_context(features: np.ndarray, offsets: tuple[int, ...] = (-6, -3, 0, 3, 6)) -> np.ndarray:
    """Stack features [T, D] of five times within ±240 ms: [T, 5 D]."""
    time = np.arange(len(features))
    return np.concatenate([features[np.clip(time + offset, 0, len(features) - 1)] for offset in offsets], 1)


class LipRidge:
    """Ridge regression from speech features at five times within ±240 ms to lip aperture.

    Features are standardised over the training clips; apertures over each clip, so that all people have equal weight.
    """

    def __init__(self, clips: list[tuple[np.ndarray, np.ndarray]], penalty: float = 3e3) -> None:
        """Fit on clips of (features [T, D], aperture [T])."""
        together = np.concatenate([features for features, _ in clips])
        self.mean, self.std = together.mean(0), together.std(0) + 1e-5
        x = np.concatenate([self._design(features) for features, _ in clips]).astype(np.float64)
        y = np.concatenate([(a - a.mean()) / (a.std() + 1e-3) for _, a in clips])
        self.weight = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)

    def _design(self, features: np.ndarray) -> np.ndarray:
        x = in_context((features - self.mean) / self.std)
        return np.concatenate([x, np.ones((len(x), 1))], 1)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predict the aperture [T], in standard deviations."""
        return self._design(features) @ self.weight

    def score(self, clips: list[tuple[str, np.ndarray, np.ndarray]]) -> float:
        """Median over people of the mean correlation over their clips (person, features, aperture)."""
        people: dict[str, list[float]] = {}
        for person, features, aperture in clips:
            people.setdefault(person, []).append(best_lag_correlation(self(features), aperture)[0])
        return float(np.median([np.mean(values) for values in people.values()]))


def foreign(clips: list[tuple[str, np.ndarray, np.ndarray]]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Combine the mouth of each clip with the features of another person's clip, cut to the shorter of the two.

    GRID talkers are left out: their sentences share one rhythm.
    """
    clips = [clip for clip in clips if not clip[0].startswith("grid_")]
    result = []
    for index, (person, _, aperture) in enumerate(clips):
        for step in range(1, len(clips)):
            other, features, _ = clips[(index + step) % len(clips)]
            count = min(len(features), len(aperture))
            if other != person and count >= 50:
                result.append((person, features[:count], aperture[:count]))
                break
    return result
