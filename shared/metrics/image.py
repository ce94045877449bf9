"""How near a made picture comes to the real one, how sharp it is, how it flickers: pixels alone.

Pictures are RGB [H, W, 3] of 0..255, uint8 or float, at the same size and place. A box is (x0, y0, x1, y1) in pixels,
the last two exclusive. Figures are of one frame; the papers' and ours are means over the frames of a clip. Pictures of
other shapes, and boxes or masks without a pixel, raise InputError; a value that is NaN makes the figure NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from shared.errors import InputError

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
    Source: the usual definition, scikit-image's `peak_signal_noise_ratio` with a range of 255; FD2Talk §4.1, Table 1.
    Trap: the mean of frames' values in dB, as here and in most papers, is above the PSNR of their mean MSE.
    """
    made, real = _pair(made, real)
    return _decibels(_mean(np.square(made - real), boxes))


def _decibels(square: float) -> float:
    return float(10 * np.log10(255**2 / (square if square > _LEAST_SQUARE or np.isnan(square) else _LEAST_SQUARE)))


def ssim_map(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Structural similarity round every pixel, float32 [H, W], mean over the colour channels; -1 to 1, 1 is equal.

        (2 m_a m_b + C1) (2 s_ab + C2) / ((m_a^2 + m_b^2 + C1) (s_a^2 + s_b^2 + C2)), C1 = (.01 255)^2, C2 = (.03 255)^2

    m, s^2, s_ab: mean, variance and covariance under a Gaussian window of 11 x 11 pixels and sigma 1.5 (Wang et al.
    2004, eq. 13). Within 5 pixels of the border, where the window would leave the picture, the picture is mirrored.
    Single precision round the middle of the range: off by 1e-5 in photographs, by less than 1e-4 in flat pictures.
    """
    a, b = (picture - _MIDDLE for picture in _pair(made, real))

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    mean_a, mean_b = mean_a + _MIDDLE, mean_b + _MIDDLE
    similar = (2 * mean_a * mean_b + _C1) * (2 * cov + _C2)
    return (similar / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))).mean(-1)


def ssim(made: np.ndarray, real: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Mean of `ssim_map` without the 5 pixels along the border; no unit, higher is better, 1 for equal pictures.

    boxes: the mean over these boxes' pixels of the whole picture's map; windows reach out of a box as far as they do.
    Source: Wang et al. 2004; FD2Talk §4.1, Table 1. Protocol: in colour, as scikit-image with `gaussian_weights`,
    sigma 1.5 and the plain covariance; of grey pictures, or under its default 7 x 7 window, it is another number.
    torchmetrics counts the border too, as the mean of `ssim_map` does.
    """
    similarity = ssim_map(made, real)
    return _mean(similarity, boxes) if boxes else _mean(_without_border(similarity))


def region_figures(made: np.ndarray, real: np.ndarray, masks: Mapping[str, np.ndarray | None]) -> dict[str, float]:
    """`psnr<end>` and `ssim<end>` for every `end: mask` (bool [H, W], or None for the whole frame), as `psnr` and
    `ssim` give them, from one map of errors and one of similarity."""
    made, real = _pair(made, real)
    error, similarity = np.square(made - real).mean(-1), ssim_map(made, real)
    figures = {}
    for end, mask in masks.items():
        figures[f"psnr{end}"] = _decibels(_mean(_inside(error, mask)))
        figures[f"ssim{end}"] = _mean(_without_border(similarity) if mask is None else _inside(similarity, mask))
    return figures


def sharpness(picture: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Root mean square of the Laplacian (4 neighbours, weights 1 and -4) of the luma, in 0..255 units per pixel^2.

    sqrt(mean |Y[y-1, x] + Y[y+1, x] + Y[y, x-1] + Y[y, x+1] - 4 Y[y, x]|^2), Y = .299 R + .587 G + .114 B, the picture
    mirrored about its outermost pixels. mask: bool [H, W], the pixels that count.
    Higher is sharper, and noisier; meaningful as the ratio of a made to the real picture at one size, 1 is natural.
    Source: the variance of the Laplacian as a measure of focus, Pech-Pacheco et al. 2000.
    """
    laplacian = cv2.Laplacian(_picture(picture) @ _LUMA, cv2.CV_32F, ksize=1)
    return float(np.sqrt(_mean(np.square(_inside(laplacian, mask)))))


def flicker(frames: Iterable[np.ndarray]) -> float:
    """Mean absolute difference of consecutive frames in 0..255 units, the largest over pairs; nan for a single frame.

    max_t mean |f[t] - f[t-1]| over pixels and channels. Protocol: frames of one unchanging motion, where nothing should
    move: lower is better and 0 is perfect. Source: this project's own.
    """
    frames = [np.asarray(frame, np.float32) for frame in frames]
    steps = [float(np.abs(after - before).mean()) for before, after in zip(frames, frames[1:])]
    return max(steps, default=float("nan"))


def temporal_flicker(frames: Iterable[np.ndarray]) -> float:
    """Mean absolute second difference over time, |f[t-1] - 2 f[t] + f[t+1]| over all pixels, in 0..255 units.

    Even movement cancels out, what boils does not; a talking face is not even, so a real clip's own value is the mark
    to compare with, not 0. nan for fewer than three frames. Protocol: whole frames at 25 a second, mean over t.
    Source: this project's own.
    """
    before: list[np.ndarray] = []
    steps = []
    for frame in frames:
        frame = np.asarray(frame)
        before.append(frame.astype(np.int16 if frame.dtype == np.uint8 else np.float32))
        if len(before) == 3:
            steps.append(np.abs(before[0] - 2 * before[1] + before[2]).mean())
            before.pop(0)
    return float(np.mean(steps)) if steps else float("nan")


def _picture(picture: np.ndarray) -> np.ndarray:
    """float32 [H, W, 3]."""
    picture = np.asarray(picture, np.float32)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise InputError(f"a picture must be RGB [H, W, 3], not {list(picture.shape)}")
    return picture


def _pair(made: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    made, real = _picture(made), _picture(real)
    if made.shape != real.shape:
        sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (made, real)]
        raise InputError(f"the made picture is {sizes[0]} pixels, the real one {sizes[1]}")
    return made, real


def _without_border(similarity: np.ndarray) -> np.ndarray:
    """What the window sees without leaving the picture."""
    edge = _WINDOW // 2
    if min(similarity.shape) < _WINDOW:
        height, width = similarity.shape
        raise InputError(f"SSIM needs pictures of {_WINDOW} pixels a side, not {width} x {height}")
    return similarity[edge:-edge, edge:-edge]


def _inside(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is None:
        return values
    if mask.dtype != bool or mask.shape != values.shape:
        raise InputError(f"a mask must be bool {list(values.shape)}, not {mask.dtype} {list(mask.shape)}")
    return values[mask]


def _mean(values: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Over everything, or over the boxes' pixels together."""
    if boxes:
        values = np.concatenate([values[y0:y1, x0:x1].reshape(-1) for x0, y0, x1, y1 in boxes])
    if not values.size:
        raise InputError("there is no pixel of the picture to measure")
    return float(values.mean(dtype=np.float64))
