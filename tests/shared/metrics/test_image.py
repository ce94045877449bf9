"""Image metrics against an independent implementation and on images whose result is known."""

import cv2
import numpy as np
import pytest

from shared.errors import InputError
from shared.metrics.image import flicker, psnr, region_figures, sharpness, ssim, ssim_map, temporal_flicker
from shared.weights import bundled

PHOTO = cv2.imread(str(bundled("demo/portrait_woman.jpg")))[200:456, 300:544, ::-1]
NOISE = np.random.default_rng(0).normal(0, 6, PHOTO.shape)
NOISY = np.clip(PHOTO + NOISE, 0, 255).astype(np.uint8)
SOFT = cv2.GaussianBlur(PHOTO, (0, 0), 1.5)


@pytest.mark.parametrize("generated", [NOISY, SOFT, np.roll(PHOTO, 3, axis=1)])
def test_psnr_and_ssim_agree_with_scikit_image(generated):
    metrics = pytest.importorskip("skimage.metrics")
    assert psnr(generated, PHOTO) == pytest.approx(metrics.peak_signal_noise_ratio(PHOTO, generated), abs=1e-4)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected, full = metrics.structural_similarity(PHOTO, generated, channel_axis=2, full=True, **wang)
    assert ssim(generated, PHOTO) == pytest.approx(expected, abs=1e-4)
    assert ssim(generated, PHOTO, [(40, 50, 90, 80)]) == pytest.approx(full[50:80, 40:90].mean(), abs=1e-4)


def literal_ssim(generated, real, y, x):
    """Wang et al. 2004, eq. 13, about one pixel whose window is inside: (mean over colours)."""
    weight = [[np.exp(-(i * i + j * j) / (2 * 1.5**2)) for i in range(-5, 6)] for j in range(-5, 6)]
    total = sum(map(sum, weight))
    values = []
    for channel in range(3):
        sums = dict.fromkeys(("a", "b", "aa", "bb", "ab"), 0.0)
        for j in range(11):
            for i in range(11):
                a, b = (float(p[y + j - 5, x + i - 5, channel]) for p in (generated, real))
                for name, value in zip(sums, (a, b, a * a, b * b, a * b)):
                    sums[name] += weight[j][i] / total * value
        a, b, c1, c2 = sums["a"], sums["b"], 2.55**2, 7.65**2
        similar = (2 * a * b + c1) * (2 * (sums["ab"] - a * b) + c2)
        values.append(similar / ((a * a + b * b + c1) * (sums["aa"] - a * a + sums["bb"] - b * b + c2)))
    return sum(values) / 3


@pytest.mark.parametrize("generated", [NOISY, SOFT])
def test_ssim_is_the_papers_formula(generated):
    found = ssim_map(generated, PHOTO)
    for y, x in ((5, 5), (60, 100), (250, 12)):
        assert found[y, x] == pytest.approx(literal_ssim(generated, PHOTO, y, x), abs=1e-4)


def test_ssim_of_flat_and_dark_pictures_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    rng = np.random.default_rng(2)
    for height, width, level, noise in ((11, 40, 3, 1), (64, 64, 0, 0.5), (33, 12, 252, 1), (20, 20, 128, 0)):
        real = np.clip(level + rng.normal(0, noise, (height, width, 3)), 0, 255).astype(np.uint8)
        generated = np.clip(real + 1 + rng.normal(0, noise, real.shape), 0, 255).astype(np.uint8)
        expected = metrics.structural_similarity(real, generated, channel_axis=2, **wang)
        assert ssim(generated, real) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("generated", [NOISY, SOFT])
def test_regions_are_the_pixels_of_their_masks(generated):
    mask = np.zeros(PHOTO.shape[:2], bool)
    cv2.circle(mask.view(np.uint8), (100, 120), 40, 1, -1)
    found = region_figures(generated, PHOTO, {"": None, "_face": mask})
    errors = [float(a) - float(b) for a, b in zip(generated[mask].ravel(), PHOTO[mask].ravel())]
    assert found["psnr_face"] == pytest.approx(
        10 * np.log10(255**2 / (sum(e * e for e in errors) / len(errors))), abs=1e-4
    )
    assert found["ssim_face"] == pytest.approx(ssim_map(generated, PHOTO)[mask].mean(), abs=1e-5)
    assert (found["psnr"], found["ssim"]) == pytest.approx((psnr(generated, PHOTO), ssim(generated, PHOTO)), abs=1e-5)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_flicker_over_time_is_the_second_difference(kind):
    frames = np.random.default_rng(1).integers(0, 256, (5, 6, 7, 3)).astype(kind)
    slow, count = 0.0, 0
    for t in range(1, 4):
        for before, now, after in zip(frames[t - 1].ravel(), frames[t].ravel(), frames[t + 1].ravel()):
            slow, count = slow + abs(float(before) - 2 * float(now) + float(after)), count + 1
    assert temporal_flicker(iter(frames)) == pytest.approx(slow / count, abs=1e-4)
    brightening = [np.full((4, 4, 3), 10 * t, np.uint8) for t in range(6)]
    assert temporal_flicker(brightening) == 0 and np.isnan(temporal_flicker(brightening[:2]))


def test_known_values():
    grey = np.full((32, 40, 3), 100, np.uint8)
    assert psnr(grey + 10, grey) == pytest.approx(20 * np.log10(25.5), abs=1e-5)
    assert psnr(grey, grey) == pytest.approx(68.13, abs=0.01) and ssim(PHOTO, PHOTO) == pytest.approx(1)
    # Flat pictures: only the luminance term is left.
    c1 = 2.55**2
    assert ssim(grey + 20, grey) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_boxes_see_only_their_own_pixels():
    generated = PHOTO.copy()
    generated[10:20, 30:50] ^= 64
    assert psnr(generated, PHOTO, [(30, 10, 50, 20)]) == pytest.approx(20 * np.log10(255 / 64), abs=1e-4)
    assert psnr(generated, PHOTO, [(60, 10, 90, 20), (0, 0, 10, 10)]) > 68
    both = psnr(generated, PHOTO, [(30, 10, 50, 20), (100, 100, 120, 110)])
    assert both == pytest.approx(20 * np.log10(255 / 64) + 10 * np.log10(2), abs=1e-4)


def test_sharpness_falls_with_blur_and_knows_its_mask():
    assert sharpness(SOFT) < 0.6 * sharpness(PHOTO) < 0.6 * sharpness(NOISY)
    checks = np.indices((20, 20)).sum(0) % 2 * 100.0
    assert sharpness(np.repeat(checks[..., None], 3, 2)) == pytest.approx(400, abs=1e-2)  # |4 * 100| everywhere
    half = PHOTO.copy()
    half[:, 120:] = SOFT[:, 120:]
    left = np.arange(PHOTO.shape[1])[None].repeat(len(PHOTO), 0) < 110
    assert sharpness(half, left) == pytest.approx(sharpness(PHOTO, left))


def test_sharpness_against_a_loop():
    picture, mask = NOISY[:9, :7], np.zeros((9, 7), bool)
    mask[2:5, 1:6] = True
    luma = [[0.299 * float(r) + 0.587 * float(g) + 0.114 * float(b) for r, g, b in row] for row in picture]
    squares = [
        (luma[y - 1][x] + luma[y + 1][x] + luma[y][x - 1] + luma[y][x + 1] - 4 * luma[y][x]) ** 2
        for y in range(2, 5)
        for x in range(1, 6)
    ]
    assert sharpness(picture, mask) == pytest.approx((sum(squares) / 15) ** 0.5, rel=1e-4)


def test_flicker_is_the_worst_step():
    frames = [np.full((4, 4, 3), v, np.uint8) for v in (7, 7, 9, 8)]
    assert flicker(frames) == 2 and flicker(frames[:2]) == 0
    assert np.isnan(flicker(frames[:1])) and np.isnan(flicker([]))


def test_frames_of_other_kinds_do_not_overflow():
    frames = [np.full((2, 2, 3), v, np.uint16) for v in (0, 10, 0)]
    assert temporal_flicker(frames) == 20 and flicker(frames) == 10


def test_pictures_that_cannot_be_compared_are_refused():
    whole, part = np.zeros(PHOTO.shape[:2], bool), np.ones((5, 5), bool)
    for refused in (
        lambda: psnr(PHOTO, PHOTO[:1]),  # would be repeated
        lambda: psnr(PHOTO, PHOTO[..., :1]),
        lambda: ssim(PHOTO[..., 0], PHOTO[..., 0]),
        lambda: ssim(PHOTO[:10], PHOTO[:10]),  # smaller than the window
        lambda: psnr(PHOTO, PHOTO, [(5, 5, 5, 9)]),
        lambda: ssim(PHOTO, PHOTO, [(5, 5, 9, 5)]),
        lambda: region_figures(PHOTO, PHOTO, {"": whole}),
        lambda: region_figures(PHOTO, PHOTO, {"": part}),
        lambda: sharpness(PHOTO, whole),
        lambda: sharpness(PHOTO[..., 0]),
    ):
        with pytest.raises(InputError) as error:
            refused()
        assert "\n" not in str(error.value)
    assert np.isnan(psnr(PHOTO * np.float32(np.nan), PHOTO))
