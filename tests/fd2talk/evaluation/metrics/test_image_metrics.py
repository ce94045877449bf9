"""Image metrics with networks of simple outputs, and frames of different sizes."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from fd2talk.evaluation import runner
from fd2talk.evaluation.metrics import image_metrics
from fd2talk.evaluation.metrics.image_metrics import _side_by_side
from fd2talk.evaluation.metrics.networks import MetricNetworks
from fd2talk.evaluation.worker import read_arrays
from shared.errors import InputError
from shared.media import VideoWriter, read_audio, read_video
from shared.metrics.fid import frechet_distance
from shared.metrics.image import psnr
from shared.metrics.rendering import part_boxes


def test_an_odd_last_row_and_column_do_not_count(real):
    class Odd:
        def __init__(self, cut):
            self.cut = cut

        def frames(self):
            return (frame[: -self.cut, : -self.cut] for frame in read_video(real / "anna__1.mp4"))

    for frame, target in _side_by_side(Odd(2), Odd(1), False):
        assert frame.shape == target.shape == (238, 238, 3) and np.array_equal(frame, target)
    with pytest.raises(InputError, match="--resample"):
        list(_side_by_side(Odd(1), Odd(2), False))


def test_landmarks_are_scaled_with_resized_frames(report, generated, monkeypatch, tmp_path, means):
    def place(self, image, landmarks):  # the horizontal position of the nose, as an angle
        turn = landmarks[1, 0] / image.shape[1] * np.pi
        return np.array([np.cos(turn), np.sin(turn)])

    monkeypatch.setattr(MetricNetworks, "embed", property(lambda self: partial(place, self)))
    monkeypatch.setattr(runner, "find_metric_network", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(runner, "digest", lambda path: "0" * 64)
    for path in generated.glob("*.mp4"):
        frames = list(read_video(path))
        with VideoWriter(path, (120, 120), audio=read_audio(path), overwrite=True) as writer:
            for frame in frames:
                writer.write(np.ascontiguousarray(frame[::2, ::2]))
    assert means(report(generated, "--resample", metrics="identity"), "generated")["identity"] > 0.99


class Stub:
    """Networks with simple outputs: means of images, loudness of audio."""

    def features(self, images):
        return images.reshape(len(images), -1, 3).mean(1)

    def distance(self, generated, real, box=None):
        return 0.0 if box is None else float(box[2] - box[0])

    def __call__(self, image, landmarks):
        return np.array([0.6, 0.8])

    def embed_video(self, crops):
        return np.lib.stride_tricks.sliding_window_view(crops.reshape(len(crops), -1).mean(1), 5)

    def embed_audio(self, coefficients):
        return np.lib.stride_tricks.sliding_window_view(coefficients[:, 0], 20)[::4, :5]


def test_networks_score_images_and_features_are_combined(report, generated, monkeypatch, tmp_path, means):
    for name in ("inception", "embed", "syncnet"):
        monkeypatch.setattr(MetricNetworks, name, property(lambda self: Stub()))
    monkeypatch.setattr(MetricNetworks, "lpips", lambda self, net: Stub())
    monkeypatch.setattr(runner, "find_metric_network", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(runner, "digest", lambda path: "0" * 64)
    frames = list(read_video(generated / "anna__1.mp4"))
    with VideoWriter(
        generated / "anna__1.mp4", (240, 240), audio=read_audio(generated / "anna__1.mp4"), overwrite=True
    ) as writer:
        for frame in frames:
            writer.write(255 - frame // 2)
    metrics = "fid,identity,lpips_alex,lpips_alex_mouth,lpips_alex_face,lse_c,lse_d,syncnet_confidence,syncnet_offset"
    found = report(generated, metrics=metrics)
    scores, real_scores = means(found, "generated"), means(found, "real")
    assert scores["identity"] == pytest.approx(1) and scores["lpips_alex"] == 0
    assert scores["lpips_alex_face"] > scores["lpips_alex_mouth"] > 10
    assert set(scores) == set(metrics.split(",")) and "fid" not in real_scores and "lse_c" in real_scores
    features = [read_arrays(tmp_path / "report", {"system": row, "repeat": 0, "clip": clip})["inception"]
                for row in ("generated", "real") for clip in ("anna__1", "bob__1")]  # fmt: skip
    assert features[0].shape == (5, 3)  # every fifth of 22 frames
    expected = frechet_distance(np.concatenate(features[:2]), np.concatenate(features[2:]))
    assert scores["fid"] == pytest.approx(expected) and scores["fid"] > 100


def test_a_part_of_the_face_can_be_measured_alone(report, generated, monkeypatch, tmp_path, means):
    monkeypatch.setattr(MetricNetworks, "lpips", lambda self, net: Stub())
    monkeypatch.setattr(runner, "find_metric_network", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(runner, "digest", lambda path: "0" * 64)
    assert set(means(report(generated, metrics="lpips_alex_mouth"), "generated")) == {"lpips_alex_mouth"}


def test_frames_are_classed_by_what_mouth_and_head_did(monkeypatch, real):
    """Against a loop over frames with invented classes; the first five frames belong to none."""
    frames = [frame[:64, :64] for frame in read_video(real / "anna__1.mp4")]
    landmarks = np.random.default_rng(0).uniform(10, 50, (len(frames), 478, 3))

    class Clip:
        numbers, files = None, None

        def __init__(self, change):
            self.change, self.landmarks, self.track = change, landmarks, SimpleNamespace(landmarks=landmarks)

        def frames(self):
            return (
                np.clip(frame.astype(int) + self.change * i, 0, 255).astype(np.uint8) for i, frame in enumerate(frames)
            )

    def number(points):
        return int(np.argmax(np.all(landmarks == points, axis=(1, 2))))

    monkeypatch.setattr(image_metrics, "mouth_change", lambda p, _: "opened" if number(p) % 3 else "closed")
    monkeypatch.setattr(image_metrics, "head_distance", lambda p, _: number(p))
    monkeypatch.setattr(image_metrics, "is_turned", lambda p, _: number(p) % 4 == 1)
    wanted = [
        "psnr_mouth_opened",
        "psnr_mouth_closed",
        "psnr_mouth_unchanged",
        "psnr_head_under_6px",
        "psnr_head_6_to_15px",
        "psnr_mouth_turned",
        "psnr_eyes_turned",
        "psnr_head_turned",
    ]
    clips = Clip(1), Clip(0)
    found = image_metrics.image_scores(*clips, wanted, None).values
    whole, mouth, eyes = [], [], []
    for a, b, points in zip(*(clip.frames() for clip in clips), landmarks):
        whole.append(psnr(a, b))
        mouth.append(psnr(a, b, part_boxes(points, (64, 64))["mouth"]))
        eyes.append(psnr(a, b, part_boxes(points, (64, 64))["eyes"]))
    numbers = range(5, len(frames))
    assert found["psnr_mouth_opened"] == pytest.approx(np.mean([mouth[i] for i in numbers if i % 3]), abs=1e-3)
    assert found["psnr_mouth_closed"] == pytest.approx(np.mean([mouth[i] for i in numbers if not i % 3]), abs=1e-3)
    assert found["psnr_head_under_6px"] == pytest.approx(whole[5], abs=1e-3)
    assert found["psnr_head_6_to_15px"] == pytest.approx(np.mean(whole[6:15]), abs=1e-3)
    for name, values in {"mouth": mouth, "eyes": eyes, "head": whole}.items():
        expected = np.mean([values[i] for i in numbers if i % 4 == 1])
        assert found[f"psnr_{name}_turned"] == pytest.approx(expected, abs=1e-3)
    assert "psnr_mouth_unchanged" not in found
