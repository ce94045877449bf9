"""Picture metrics against an independent implementation and against pictures whose answer is known."""

import cv2
import numpy as np
import pytest

from shared.errors import InputError
from shared.face_model.mediapipe_mesh import FACE_OVAL, OUTER_LIPS
from shared.metrics.image import flicker, psnr, region_figures, sharpness, ssim, ssim_map, temporal_flicker
from shared.metrics.rendering import compare, face_mask, mouth_change, part_boxes
from shared.weights import bundled

PHOTO = cv2.imread(str(bundled("demo/portrait_woman.jpg")))[200:456, 300:544, ::-1]
NOISE = np.random.default_rng(0).normal(0, 6, PHOTO.shape)
NOISY = np.clip(PHOTO + NOISE, 0, 255).astype(np.uint8)
SOFT = cv2.GaussianBlur(PHOTO, (0, 0), 1.5)


@pytest.mark.parametrize("made", [NOISY, SOFT, np.roll(PHOTO, 3, axis=1)])
def test_psnr_and_ssim_agree_with_scikit_image(made):
    metrics = pytest.importorskip("skimage.metrics")
    assert psnr(made, PHOTO) == pytest.approx(metrics.peak_signal_noise_ratio(PHOTO, made), abs=1e-4)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected, full = metrics.structural_similarity(PHOTO, made, channel_axis=2, full=True, **wang)
    assert ssim(made, PHOTO) == pytest.approx(expected, abs=1e-4)
    assert ssim(made, PHOTO, [(40, 50, 90, 80)]) == pytest.approx(full[50:80, 40:90].mean(), abs=1e-4)


def literal_ssim(made, real, y, x):
    """Wang et al. 2004, eq. 13, about one pixel whose window is inside: (mean over colours)."""
    weight = [[np.exp(-(i * i + j * j) / (2 * 1.5**2)) for i in range(-5, 6)] for j in range(-5, 6)]
    total = sum(map(sum, weight))
    values = []
    for channel in range(3):
        sums = dict.fromkeys(("a", "b", "aa", "bb", "ab"), 0.0)
        for j in range(11):
            for i in range(11):
                a, b = (float(p[y + j - 5, x + i - 5, channel]) for p in (made, real))
                for name, value in zip(sums, (a, b, a * a, b * b, a * b)):
                    sums[name] += weight[j][i] / total * value
        a, b, c1, c2 = sums["a"], sums["b"], 2.55**2, 7.65**2
        similar = (2 * a * b + c1) * (2 * (sums["ab"] - a * b) + c2)
        values.append(similar / ((a * a + b * b + c1) * (sums["aa"] - a * a + sums["bb"] - b * b + c2)))
    return sum(values) / 3


@pytest.mark.parametrize("made", [NOISY, SOFT])
def test_ssim_is_the_papers_formula(made):
    found = ssim_map(made, PHOTO)
    for y, x in ((5, 5), (60, 100), (250, 12)):
        assert found[y, x] == pytest.approx(literal_ssim(made, PHOTO, y, x), abs=1e-4)


def test_ssim_of_flat_and_dark_pictures_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    rng = np.random.default_rng(2)
    for height, width, level, noise in ((11, 40, 3, 1), (64, 64, 0, 0.5), (33, 12, 252, 1), (20, 20, 128, 0)):
        real = np.clip(level + rng.normal(0, noise, (height, width, 3)), 0, 255).astype(np.uint8)
        made = np.clip(real + 1 + rng.normal(0, noise, real.shape), 0, 255).astype(np.uint8)
        expected = metrics.structural_similarity(real, made, channel_axis=2, **wang)
        assert ssim(made, real) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("made", [NOISY, SOFT])
def test_regions_are_the_pixels_of_their_masks(made):
    mask = np.zeros(PHOTO.shape[:2], bool)
    cv2.circle(mask.view(np.uint8), (100, 120), 40, 1, -1)
    found = region_figures(made, PHOTO, {"": None, "_face": mask})
    errors = [float(a) - float(b) for a, b in zip(made[mask].ravel(), PHOTO[mask].ravel())]
    assert found["psnr_face"] == pytest.approx(
        10 * np.log10(255**2 / (sum(e * e for e in errors) / len(errors))), abs=1e-4
    )
    assert found["ssim_face"] == pytest.approx(ssim_map(made, PHOTO)[mask].mean(), abs=1e-5)
    assert (found["psnr"], found["ssim"]) == pytest.approx((psnr(made, PHOTO), ssim(made, PHOTO)), abs=1e-5)


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
    made = PHOTO.copy()
    made[10:20, 30:50] ^= 64
    assert psnr(made, PHOTO, [(30, 10, 50, 20)]) == pytest.approx(20 * np.log10(255 / 64), abs=1e-4)
    assert psnr(made, PHOTO, [(60, 10, 90, 20), (0, 0, 10, 10)]) > 68
    both = psnr(made, PHOTO, [(30, 10, 50, 20), (100, 100, 120, 110)])
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


def landmarks(gap: float) -> np.ndarray:
    """Eyes 100 px apart, lips 60 px wide and `gap` px open, a round face."""
    points = np.full((478, 3), 128.0)
    points[33, 0], points[263, 0] = 78, 178
    points[61, 0], points[291, 0] = 98, 158
    points[13, 1], points[14, 1] = 180 - gap / 2, 180 + gap / 2
    points[0, 1], points[17, 1] = 170, 200
    return points


def test_boxes_of_mouth_and_eyes():
    points = landmarks(0)
    for index in OUTER_LIPS:
        points[index, 1] = np.clip(points[index, 1], 170, 200)
    boxes = part_boxes(points, (256, 256))
    assert boxes["mouth"] == [(83, 155, 173, 215)] and len(boxes["eyes"]) == 2
    at_edge = part_boxes(points + [140, 60, 0], (256, 256))["mouth"][0]
    assert at_edge == (223, 215, 256, 256)
    assert part_boxes(points + 500, (256, 256))["mouth"][0] == (248, 248, 256, 256)  # gone, yet a box


@pytest.mark.parametrize("gap,change", [(16, "opened"), (14, "unchanged"), (6, "unchanged"), (4, "closed")])
def test_mouth_change(gap, change):
    assert mouth_change(landmarks(gap), landmarks(10)) == change


def test_a_frame_is_compared_part_by_part():
    boxes = {"mouth": [(20, 30, 60, 50)], "eyes": [(80, 30, 100, 40), (120, 30, 140, 40)]}
    made = PHOTO.copy()
    made[30:50, 20:60] = SOFT[30:50, 20:60]
    figures = compare(made, PHOTO, boxes)
    assert set(figures) == {f"{part}{figure}" for part in ("", "mouth_", "eyes_") for figure in ("psnr", "ssim")}
    assert figures["mouth_psnr"] < figures["psnr"] < figures["eyes_psnr"] == pytest.approx(68.13, abs=0.01)
    assert figures["mouth_ssim"] < figures["ssim"] < figures["eyes_ssim"] == pytest.approx(1)


def test_the_face_mask_fills_the_oval():
    points = np.zeros((478, 3))
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), :2] = np.stack([100 + 50 * np.sin(turn), 90 - 60 * np.cos(turn)], 1)
    mask = face_mask(points, (200, 220))
    assert mask.shape == (200, 220) and mask[90, 100] and not mask[90, 160]
    assert mask.sum() == pytest.approx(np.pi * 50 * 60, rel=0.03)
    with pytest.raises(InputError, match="outside the frame"):
        face_mask(points + 300, (200, 220))
