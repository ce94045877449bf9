"""How near a made picture comes to the real one, how sharp it is, how it flickers: pixels alone.

Pictures are RGB [H, W, 3] of 0..255, uint8 or float, at the same size and place. A box is (x0, y0, x1, y1) in pixels,
the last two exclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

Box = tuple[int, int, int, int]

# Wang et al. 2004, section III-C: an 11 x 11 Gaussian window of 1.5 pixels, K1 = 0.01, K2 = 0.03.
_WINDOW, _SIGMA = 11, 1.5
_MIDDLE = np.float32(128)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

# Equal pictures have no finite PSNR; below this mean square nobody sees a difference, and means stay finite.
_LEAST_SQUARE = 0.01

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def psnr(made: np.ndarray, real: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Peak signal-to-noise ratio in dB, higher is better: 10 log10(255^2 / MSE), MSE over all pixels and channels.

    boxes: only the pixels of these boxes, together. An MSE under 0.01 counts as 0.01 (68.1 dB).
    """
    error = np.square(np.asarray(made, np.float32) - np.asarray(real, np.float32))
    values = np.concatenate([error[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in boxes]) if boxes else error
    return float(10 * np.log10(255**2 / max(float(values.mean(dtype=np.float64)), _LEAST_SQUARE)))


def ssim_map(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Structural similarity round every pixel, float32 [H, W], mean over the colour channels; 1 is equal.

    Wang et al. 2004, eq. 13: Gaussian window 11 x 11 of sigma 1.5, K1 0.01, K2 0.03, L 255. Within 5 pixels of the
    border, where the window would leave the picture, the picture is mirrored. Single precision round the middle
    of the range, which costs 1e-5 at most.
    """
    a, b = np.asarray(made, np.float32) - _MIDDLE, np.asarray(real, np.float32) - _MIDDLE

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    mean_a, mean_b = mean_a + _MIDDLE, mean_b + _MIDDLE
    similar = (2 * mean_a * mean_b + _C1) * (2 * cov + _C2)
    return (similar / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))).mean(-1)


def ssim(made: np.ndarray, real: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Mean of `ssim_map` without the 5 pixels along the border; higher is better, 1 for equal pictures.

    boxes: the mean over these boxes' pixels of the whole picture's map; windows reach out of a box as far as they do.
    """
    similarity = ssim_map(made, real)
    if boxes:
        return float(np.concatenate([similarity[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in boxes]).mean())
    edge = _WINDOW // 2
    return float(similarity[edge:-edge, edge:-edge].mean())


def region_figures(made: np.ndarray, real: np.ndarray, masks: Mapping[str, np.ndarray | None]) -> dict[str, float]:
    """`psnr<end>` and `ssim<end>` for every `end: mask` (bool [H, W], or None for the whole frame), as `psnr` and
    `ssim` give them, from one map of errors and one of similarity."""
    error = np.square(np.asarray(made, np.float32) - np.asarray(real, np.float32)).mean(-1)
    similarity, edge = ssim_map(made, real), _WINDOW // 2
    figures = {}
    for end, mask in masks.items():
        square = float((error if mask is None else error[mask]).mean(dtype=np.float64))
        inside = similarity[edge:-edge, edge:-edge] if mask is None else similarity[mask]
        figures[f"psnr{end}"] = float(10 * np.log10(255**2 / max(square, _LEAST_SQUARE)))
        figures[f"ssim{end}"] = float(inside.mean(dtype=np.float64))
    return figures


def sharpness(picture: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Root mean square of the Laplacian (4 neighbours, weights 1 and -4) of the luma, in 0..255 units per pixel^2.

    Higher is sharper, and noisier; meaningful as the ratio of a made to the real picture at one size. The variance of
    the Laplacian as a measure of focus: Pech-Pacheco et al. 2000. mask: bool [H, W], the pixels that count.
    """
    laplacian = cv2.Laplacian(np.asarray(picture, np.float32) @ _LUMA, cv2.CV_32F, ksize=1)
    return float(np.sqrt(np.square(laplacian if mask is None else laplacian[mask]).mean()))


def flicker(frames: Iterable[np.ndarray]) -> float:
    """Mean absolute difference of consecutive frames in 0..255 units, the largest over pairs. For one unchanging motion
    lower is better and 0 is perfect."""
    frames = [np.asarray(frame, np.float32) for frame in frames]
    return max(float(np.abs(after - before).mean()) for before, after in zip(frames, frames[1:]))


def temporal_flicker(frames: Iterable[np.ndarray]) -> float:
    """Mean absolute second difference over time, |f[t-1] - 2 f[t] + f[t+1]| over all pixels, in 0..255 units.

    Even movement cancels out, what boils does not; a talking face is not even, so a real clip's own value is the mark
    to compare with, not 0. nan for fewer than three frames.
    """
    before: list[np.ndarray] = []
    steps = []
    for frame in frames:
        frame = np.asarray(frame)
        before.append(frame.astype(np.int16) if frame.dtype == np.uint8 else frame)
        if len(before) == 3:
            steps.append(np.abs(before[0] - 2 * before[1] + before[2]).mean())
            before.pop(0)
    return float(np.mean(steps)) if steps else float("nan")
