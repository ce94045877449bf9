"""Frames of a clip whose meshes are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from portraits import portrait
from synthetic_clip import CUT, FRAMES, SIZE, write_clip

from shared.errors import InputError, UsageError
from shared.motion import Motion
from stage2_render.training.frame_set import FramesConfig, FrameSet, build


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    root = write_clip(tmp_path_factory.mktemp("material"))
    with open(root / "prepared" / "index.csv", "a") as file:
        file.write("small,none.mp4,small,train,80\nman,none.mp4,man,val,200\n")
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
