"""The 15 visemes of Oculus Lipsync, from the shape of the mouth."""

from __future__ import annotations

import numpy as np

from shared.arkit import NAMES, fit_features, load_arkit_map
from shared.bounded_fit import bounded_fit

# In the order of Oculus Lipsync; TalkingHead and Ready Player Me call ih, oh and ou I, O and U.
VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
# What lips and jaw do in each, as ARKit's curves (both sides alike). The tongue, by which TH, DD, kk and nn differ, has
# no curve: among them the choice is by the opening only. `sil` is what remains; PP is found by its length, see below.
_MOUTHS = {
    "PP": {"mouthPress": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "FF": {"mouthRollLower": 0.5, "mouthUpperUp": 0.3, "jawOpen": 0.03},
    "TH": {"jawOpen": 0.1, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1},
    "DD": {"jawOpen": 0.08, "mouthLowerDown": 0.2, "mouthUpperUp": 0.2},
    "kk": {"jawOpen": 0.18, "mouthLowerDown": 0.15, "mouthUpperUp": 0.15},
    "CH": {"jawOpen": 0.05, "mouthFunnel": 0.5, "mouthPucker": 0.2, "mouthLowerDown": 0.2},
    "SS": {"jawOpen": 0.03, "mouthStretch": 0.3, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2},
    "nn": {"jawOpen": 0.1, "mouthLowerDown": 0.1, "mouthUpperUp": 0.1},
    "RR": {"jawOpen": 0.08, "mouthPucker": 0.4, "mouthFunnel": 0.2},
    "aa": {"jawOpen": 0.4, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
    "E": {"jawOpen": 0.22, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
    "ih": {"jawOpen": 0.14, "mouthStretch": 0.15, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3},
    "oh": {"jawOpen": 0.3, "mouthFunnel": 0.3, "mouthPucker": 0.3},
    "ou": {"jawOpen": 0.1, "mouthPucker": 0.6, "mouthFunnel": 0.2},
}
# The mouths of VRM's presets, which are Japanese vowels.
_VOWELS = {"aa": "aa", "ih": "ih", "ou": "ou", "ee": "E", "oh": "oh"}
# Lips that stay together for less than this between open ones say p, b or m; longer, nothing.
_CLOSURE_SECONDS = 0.24
_FEW = 0.02
SILENT = 0.6  # more than this of `sil` is silence


def visemes(curves: np.ndarray, fps: float) -> np.ndarray:
    """Compute viseme weights from ARKit's curves.

    Args:
        curves: [T, 52] in the order of `NAMES`.
        fps: frames per second.

    Returns:
        float64 [T, 15] in [0, 1], of sum 1.
    """
    found = _fit(curves, list(_MOUTHS))
    weights = np.concatenate([1 - found.sum(1, keepdims=True), found], axis=1)
    silent = weights[:, 0] > SILENT
    for start, stop in runs(silent):
        if silent[start] and 0 < start and stop < len(silent) and (stop - start) / fps < _CLOSURE_SECONDS:
            weights[start:stop, 1] += weights[start:stop, 0]
            weights[start:stop, 0] = 0
    return weights


def vowels(curves: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the weights [T] in [0, 1], of sum 1 at most, of VRM's five mouths from ARKit's curves [T, 52]."""
    return dict(zip(_VOWELS, _fit(curves, list(_VOWELS.values())).T))


def _fit(curves: np.ndarray, names: list[str]) -> np.ndarray:
    """Weights [T, len(names)] of these mouths that move the mesh as curves [T, 52] do; of sum 1 at most."""
    to_mesh = load_arkit_map().shapes @ fit_features()
    # Speech is read from what the table names: a smile is an expression, whatever is said.
    of_mouth = np.array([any(_both(name) in mouth for mouth in _MOUTHS.values()) for name in NAMES])
    table = np.array([[_MOUTHS[viseme].get(_both(name), 0.0) for name in NAMES] for viseme in names])
    found = bounded_fit(table @ to_mesh, (curves * of_mouth) @ to_mesh, np.zeros((len(curves), len(table))), _FEW)
    return found / np.maximum(found.sum(1, keepdims=True), 1)


def runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Split [T] where neighbours differ: start and stop of each run of equal values."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return list(zip(edges, edges[1:]))


def visemes_csv(weights: np.ndarray, fps: float) -> str:
    """Encode viseme weights [T, 15], a row per frame that begins with its time in seconds."""
    rows = [",".join(("time", *VISEMES))]
    rows += [",".join((f"{k / fps:.4f}", *(f"{w + 0.0:.6f}" for w in row))) for k, row in enumerate(weights)]
    return "\n".join(rows) + "\n"


def _both(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right") if name not in ("mouthLeft", "mouthRight") else name
