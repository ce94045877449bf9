"""The mesh of a face does not depend on how long it has been tracked."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.faces.tracker import track_photo, track_video

DEMO = Path(__file__).parents[3] / "assets" / "demo"


@pytest.fixture(scope="module", params=["woman", "man_2"])
def clip(request):
    """A portrait that drifts to the left, 2 pixels a frame."""
    face = Image.open(DEMO / f"portrait_{request.param}.jpg").resize((240, 240))
    frames = []
    for i in range(15):
        canvas = Image.new("RGB", (300, 300), "grey")
        canvas.paste(face, (50 - 2 * i, 40))
        frames.append(np.asarray(canvas))
    return frames


def size(points):
    flat = points[:468, :2]
    return np.sqrt(np.square(flat - flat.mean(0)).sum(1).mean())


def test_first_frames_of_a_clip_are_as_large_as_the_later_ones(clip):
    sizes = np.array([size(points) for points in track_video(clip)])
    assert np.abs(sizes[:5] / sizes[-5:].mean() - 1).max() < 0.005


def test_a_still_and_its_frame_within_a_clip_give_one_mesh(clip):
    tracked = list(track_video(clip))
    for index in (0, 7, 14):
        still = track_photo(clip[index])
        eyes = np.linalg.norm(still[33] - still[263])
        assert np.linalg.norm((still - tracked[index])[:, :2], axis=1).mean() / eyes < 0.01
        assert size(still) / size(tracked[index]) == pytest.approx(1, abs=0.005)


def test_a_large_frame_is_seen_as_a_photo_of_it():
    image = np.asarray(Image.open(DEMO / "portrait_woman.jpg").convert("RGB"))
    still, tracked = track_photo(image), next(track_video([image]))
    eyes = np.linalg.norm(still[33] - still[263])
    assert np.linalg.norm((still - tracked)[:, :2], axis=1).mean() / eyes < 0.01


def test_tracking_finds_the_face_again_behind_a_cut(clip):
    other = np.asarray(Image.fromarray(clip[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT))[:, ::1]
    zoomed = np.asarray(Image.fromarray(other).crop((60, 60, 260, 260)).resize((300, 300)))
    tracked = list(track_video([*clip, zoomed, zoomed]))
    still = track_photo(zoomed)
    eyes = np.linalg.norm(still[33] - still[263])
    for points in tracked[-2:]:
        assert np.linalg.norm((still - points)[:, :2], axis=1).mean() / eyes < 0.01
