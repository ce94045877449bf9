"""Frames of a clip whose meshes are known: a demo portrait that moves to the right and opens its mouth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from portraits import portrait

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.tracking import Track, motion_from_track
from shared.video_writer import VideoWriter
from stage2_render.training.frame_set import FramesConfig, FrameSet, build

FRAMES, CUT, SIZE = 24, 16, 256


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    root, model = tmp_path_factory.mktemp("material"), load_bundled()
    for name in ("clips", "prepared/motions", "prepared/tracks"):
        (root / name).mkdir(parents=True)
    image, landmarks = portrait("portrait_woman", SIZE)
    fit = PhotoFit.from_landmarks(image, landmarks, model)
    beat = np.sin(np.arange(FRAMES) / 2)[:, None] ** 2
    expression = fit.expression + 3 * beat * fit.model.extra["open"]
    pose = [np.repeat(one[None], FRAMES, 0) for one in (fit.rotation, fit.translation)]
    meshes = fit.vertices_px(expression, *pose)
    meshes[..., 0] += np.arange(FRAMES)[:, None]
    with VideoWriter(root / "clips" / "woman.mp4", (SIZE, SIZE)) as video:
        for index in range(FRAMES):  # after the cut the picture is upside down
            frame = np.roll(image, index, axis=1)
            video.write(np.ascontiguousarray(frame if index < CUT else frame[::-1]))
    track = Track.from_frames(list(meshes))
    motion_from_track(model, track, source="woman").save(root / "prepared" / "motions" / "woman.npz")
    crop = [track.crop.center_x, track.crop.center_y, track.crop.side]
    np.savez(root / "prepared/tracks/woman.npz", landmarks=meshes, confidence=track.confidence, crop=crop)
    index = ["name,file,person,split,face_px", "woman,woman.mp4,woman,train,200", "small,none.mp4,small,train,80"]
    (root / "prepared" / "index.csv").write_text("\n".join([*index, "man,none.mp4,man,val,200"]) + "\n")
    return root


def config(root, out, **changes) -> FramesConfig:
    return FramesConfig(frames=str(out), prepared=str(root / "prepared"), clips=str(root / "clips"), **changes)


@pytest.fixture(scope="module")
def frames(material) -> FrameSet:
    return config(material, material / "set", frames_per_person=12).open()


def test_frames_are_head_crops_with_their_motion(material, frames):
    assert len(frames) == 12 and set(frames.person) == {"woman"} and 0 in frames.time
    assert len(set(frames.time)) == 12
    with np.load(material / "prepared/tracks/woman.npz") as track:
        meshes, crop = track["landmarks"], track["crop"]
    motion = Motion.load(material / "prepared/motions/woman.npz")
    image, _ = portrait("portrait_woman", SIZE)
    for row, at in enumerate(frames.time):
        own = np.concatenate([motion.expression[at], motion.rotation[at], motion.translation[at]])
        np.testing.assert_allclose(frames.coefficients[row], own, atol=1e-6)
        # The middle between the eyes is where the mesh in the head crop has it, and looks as in the video.
        x, y = (meshes[at, 168, :2] - crop[:2] + crop[2] / 2) * 256 / crop[2]
        shown = frames.frames[row][int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3].mean()
        real = np.roll(image, at, 1)[int(meshes[at, 168, 1]), int(meshes[at, 168, 0])].mean()
        assert at >= CUT or abs(shown - real) < 20
        mouth, (left, top, right, bottom) = meshes[at, 13, :2], frames.boxes[row, 0]
        x, y = (mouth - crop[:2] + crop[2] / 2) * 256 / crop[2]
        assert left < x < right and top < y < bottom


def test_a_cut_divides_takes(frames):
    before, after = (set(frames.take[where]) for where in (frames.time < CUT - 6, frames.time >= CUT + 6))
    assert len(before) == 1 and not before & after


def test_some_frames_differ_as_much_as_possible(material, tmp_path):
    def spread(count, share):
        found = config(material, tmp_path / f"{count}{share}", frames_per_person=count, different=share).open()
        return np.ptp(found.coefficients[:, -3])

    assert spread(2, 1.0) > 0.9 * spread(FRAMES, 0.0)


def test_coefficients_can_come_from_other_motions(material, tmp_path, frames):
    motion = Motion.load(material / "prepared/motions/woman.npz")
    motion.rotation[:] = 0.25
    (tmp_path / "motions").mkdir()
    motion.save(tmp_path / "motions" / "woman.npz")
    other = config(material, tmp_path / "set", frames_per_person=12, motions=str(tmp_path / "motions")).open()
    np.testing.assert_array_equal(other.coefficients[:, -6:-3], 0.25)
    np.testing.assert_array_equal(other.frames, frames.frames)
    np.testing.assert_array_equal(other.coefficients[:, :-6], frames.coefficients[:, :-6])


def test_what_cannot_be_built_is_refused(material, frames, tmp_path):
    with pytest.raises(UsageError, match="exists already"):
        build(config(material, material / "set"))
    with pytest.raises(InputError, match="no training clip has a face of 300 pixels"):
        build(config(material, tmp_path / "set", min_face=300))
    assert not (tmp_path / "set").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a set of frames"):
        FrameSet(tmp_path / "empty")
