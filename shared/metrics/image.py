"""Image metrics on pixels alone: similarity of a generated image to the real one, sharpness, flicker.

Images are RGB [H, W, 3] of 0..255, uint8 or float, at the same size and position. A box is (x0, y0, x1, y1) in pixels,
the last two exclusive. Figures are of one frame; the papers' and ours are means over the frames of a clip. Images of
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

# Equal images have no finite PSNR; below this mean square a difference is invisible, and means stay finite.
_LEAST_SQUARE = 0.01

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def psnr(generated: np.ndarray, real: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Peak signal-to-noise ratio in dB, higher is better: 10 log10(255^2 / MSE), MSE over all pixels and channels.

    An MSE under 0.01 counts as 0.01 (68.1 dB).
    Source: the usual definition, scikit-image's `peak_signal_noise_ratio` with a range of 255; FD2Talk §4.1, Table 1.
    Trap: the mean of frames' values in dB, as here and in most papers, is above the PSNR of their mean MSE.

    Args:
        generated: [H, W, 3].
        real: [H, W, 3].
        boxes: only the pixels of these boxes, together.
    """
    generated, real = _pair(generated, real)
    return _decibels(_mean(np.square(generated - real), boxes))


def _decibels(square: float) -> float:
    return float(10 * np.log10(255**2 / (square if square > _LEAST_SQUARE or np.isnan(square) else _LEAST_SQUARE)))


def ssim_map(generated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Structural similarity around every pixel, float32 [H, W], mean over the colour channels; -1 to 1, 1 is equal.

        (2 m_a m_b + C1) (2 s_ab + C2) / ((m_a^2 + m_b^2 + C1) (s_a^2 + s_b^2 + C2)), C1 = (.01 255)^2, C2 = (.03 255)^2

    m, s^2, s_ab: mean, variance and covariance under a Gaussian window of 11 x 11 pixels and sigma 1.5 (Wang et al.
    2004, eq. 13). Within 5 pixels of the border, where the window would leave the image, the image is mirrored.
    Single precision about the middle of the range: off by 1e-5 in photographs, by less than 1e-4 in flat images.
    """
    a, b = (picture - _MIDDLE for picture in _pair(generated, real))

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    mean_a, mean_b = mean_a + _MIDDLE, mean_b + _MIDDLE
    similar = (2 * mean_a * mean_b + _C1) * (2 * cov + _C2)
    return (similar / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))).mean(-1)


def ssim(generated: np.ndarray, real: np.ndarray, boxes: Sequence[Box] = ()) -> float:
    """Mean of `ssim_map` without the 5 pixels along the border; no unit, higher is better, 1 for equal images.

    Source: Wang et al. 2004; FD2Talk §4.1, Table 1. Protocol: in colour, as scikit-image with `gaussian_weights`, sigma
    1.5 and the plain covariance; of grey images, or under its default 7 x 7 window, it is another number. torchmetrics
    counts the border too, as the mean of `ssim_map` does.

    Args:
        generated: [H, W, 3].
        real: [H, W, 3].
        boxes: the mean over these boxes' pixels of the whole image's map; windows extend beyond a box accordingly.
    """
    similarity = ssim_map(generated, real)
    return _mean(similarity, boxes) if boxes else _mean(_without_border(similarity))


def region_figures(generated: np.ndarray, real: np.ndarray, masks: Mapping[str, np.ndarray | None]) -> dict[str, float]:
    """Compute `psnr<suffix>` and `ssim<suffix>` of several regions from one map of errors and one of similarity.

    Args:
        generated: [H, W, 3].
        real: [H, W, 3].
        masks: suffix -> bool [H, W], or None for the whole frame (as `psnr` and `ssim`).
    """
    generated, real = _pair(generated, real)
    error, similarity = np.square(generated - real).mean(-1), ssim_map(generated, real)
    figures = {}
    for suffix, mask in masks.items():
        figures[f"psnr{suffix}"] = _decibels(_mean(_inside(error, mask)))
        figures[f"ssim{suffix}"] = _mean(_without_border(similarity) if mask is None else _inside(similarity, mask))
    return figures


def sharpness(picture: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Root mean square of the Laplacian (4 neighbours, weights 1 and -4) of the luma, in 0..255 units per pixel^2.

    sqrt(mean |Y[y-1, x] + Y[y+1, x] + Y[y, x-1] + Y[y, x+1] - 4 Y[y, x]|^2), Y = .299 R + .587 G + .114 B, the image
    mirrored about its outermost pixels. Higher is sharper, and noisier; meaningful as the ratio of a generated to the
    real image at one size, 1 is natural. Source: the variance of the Laplacian as a measure of focus, Pech-Pacheco et
    al. 2000.

    Args:
        picture: [H, W, 3].
        mask: bool [H, W], the pixels that count; all by default.
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

    Even movement cancels out, flicker does not; a talking face does not move evenly, so the reference is a real clip's
    own value, not 0. nan for fewer than three frames. Protocol: whole frames at 25 a second, mean over t. Source: this
    project's own.
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
        raise InputError(f"an image must be RGB [H, W, 3], not {list(picture.shape)}")
    return picture


def _pair(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, real = _picture(generated), _picture(real)
    if generated.shape != real.shape:
        sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (generated, real)]
        raise InputError(f"the generated image is {sizes[0]} pixels, the real one {sizes[1]}")
    return generated, real


def _without_border(similarity: np.ndarray) -> np.ndarray:
    """The pixels whose window is inside the image."""
    edge = _WINDOW // 2
    if min(similarity.shape) < _WINDOW:
        height, width = similarity.shape
        raise InputError(f"SSIM needs images of {_WINDOW} pixels a side, not {width} x {height}")
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
        raise InputError("no pixel of the image is selected")
    return float(values.mean(dtype=np.float64))
