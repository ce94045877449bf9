"""Motion: the file that the stages exchange, and its edits."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shared.errors import InputError, UsageError
from shared.motion import Motion


def make(frames: int = 10, *, seed: int = 0, **changes) -> Motion:
    random = np.random.default_rng(seed)
    values = {
        "expression": random.normal(size=(frames, 6)),
        "rotation": random.normal(0, 0.2, (frames, 3)),
        "translation": random.normal(0, 0.1, (frames, 3)),
        "face_model": "tiny:0123456789abcdef",
        "fps": 25.0,
        "audio": random.uniform(-1, 1, frames * 640),
        "identity": random.normal(size=4),
        "confidence": random.uniform(0, 1, frames),
        "source": "a test, with \N{GREEK SMALL LETTER ALPHA}",
    }
    return Motion(**(values | changes))


ARRAYS = ("expression", "rotation", "translation", "identity", "confidence")


def test_arrays_become_float32():
    motion = make()
    for name in (*ARRAYS, "audio"):
        assert getattr(motion, name).dtype == np.float32, name
    assert len(motion) == 10


def test_save_and_load(tmp_path):
    motion = make()
    path = tmp_path / "ein Motiv \N{SNOWMAN}.npz"
    motion.save(path)
    again = Motion.load(path, face_model=motion.face_model)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(motion, name))
    np.testing.assert_allclose(again.audio, motion.audio, atol=1 / 32767)
    assert (again.fps, again.face_model, again.source) == (motion.fps, motion.face_model, motion.source)
    again.save(tmp_path / "again.npz")
    twice = Motion.load(tmp_path / "again.npz")
    np.testing.assert_array_equal(twice.audio, again.audio)  # 16 bits lose nothing twice
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", path.name]


def test_save_and_load_without_the_optional_parts(tmp_path):
    make(audio=None, identity=None, confidence=None, source="").save(tmp_path / "m.npz")
    again = Motion.load(tmp_path / "m.npz")
    assert again.audio is None and again.identity is None and again.confidence is None and again.source == ""


def test_save_refuses_to_overwrite(tmp_path):
    path = tmp_path / "m.npz"
    make(seed=1).save(path)
    with pytest.raises(UsageError, match="already exists"):
        make(seed=2).save(path)
    np.testing.assert_array_equal(Motion.load(path).expression, make(seed=1).expression)
    make(seed=2).save(path, overwrite=True)
    np.testing.assert_array_equal(Motion.load(path).expression, make(seed=2).expression)


def test_load_refuses_other_files(tmp_path):
    def refused(path, match):
        with pytest.raises(InputError, match=match) as error:
            Motion.load(path)
        assert "\n" not in str(error.value)

    path = tmp_path / "m.npz"
    refused(path, "no such file")
    path.write_bytes(b"")
    refused(path, "not a motion file")
    path.write_text("text")
    refused(path, "not a motion file")
    make().save(path, overwrite=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "not a motion file")
    for at in range(100, len(whole), 997):  # damaged anywhere: refused, or harmless
        path.write_bytes(whole[:at] + bytes(255 - b for b in whole[at : at + 40]) + whole[at + 40 :])
        try:
            Motion.load(path)
        except InputError as error:
            assert "\n" not in str(error)
    np.savez(path, expression=np.zeros((2, 3)))
    refused(path, "it lacks face_model, format, fps, rotation, translation")
    np.savez(path, expression=np.array([{"an": "object"}]))
    refused(path, "not a motion file")
    np.save(tmp_path / "single.npy", np.zeros(3))
    refused(tmp_path / "single.npy", "not a motion file")


def test_load_refuses_another_face_model(tmp_path):
    make().save(tmp_path / "m.npz")
    with pytest.raises(InputError, match="belongs to face model tiny:0123456789abcdef, not other:00"):
        Motion.load(tmp_path / "m.npz", face_model="other:00")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expression": np.zeros(10)}, "expression has shape"),
        ({"rotation": np.zeros((10, 4))}, r"rotation has shape \[10, 4\], expected \[10, 3\]"),
        ({"translation": np.zeros((9, 3))}, "translation has shape"),
        ({"confidence": np.zeros(9)}, "confidence has shape"),
        ({"identity": np.zeros((1, 4))}, "identity has shape"),
        ({"audio": np.zeros((2, 5))}, "audio has shape"),
        ({"expression": np.full((10, 6), np.nan)}, "expression has a number that is not finite"),
        ({"audio": np.array([0, np.inf])}, "audio has a number that is not finite"),
        ({"fps": 0}, "not a frame rate"),
        ({"fps": float("nan")}, "not a frame rate"),
    ],
)
def test_wrong_arrays_are_refused_when_made_and_when_loaded(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
    if "audio" in changes:
        return  # stored as integers: cannot be infinite there
    make().save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "m.npz", **(arrays | changes))
    with pytest.raises(InputError, match=message):
        Motion.load(tmp_path / "m.npz")


def test_at():
    motion = make()
    one = motion.at(3)
    assert len(one) == 1 and one.audio is None
    np.testing.assert_array_equal(one.expression[0], motion.expression[3])
    np.testing.assert_array_equal(motion.at(-1).rotation[0], motion.rotation[-1])
    for index in (10, -11):
        with pytest.raises(UsageError, match="10 frames"):
            motion.at(index)


def test_slice_takes_its_share_of_the_sound():
    motion = make(audio=None)
    motion.audio = np.arange(10 * 640, dtype=np.float32)
    part = motion.slice(2, 5)
    np.testing.assert_array_equal(part.translation, motion.translation[2:5])
    np.testing.assert_array_equal(part.confidence, motion.confidence[2:5])
    np.testing.assert_array_equal(part.audio, np.arange(2 * 640, 5 * 640))
    assert len(motion.slice(-3, 100)) == 3
    with pytest.raises(UsageError, match="no frames"):
        motion.slice(5, 5)


def test_seen():
    motion = make(4, audio=np.zeros(2560, np.float32), confidence=[1, 0, 0.5, 0])
    np.testing.assert_array_equal(motion.seen().rotation, motion.rotation[[0, 2]])
    assert motion.seen().audio is None and len(make(4, confidence=np.zeros(4)).seen()) == 0
    for whole in (make(4, confidence=None), make(4, confidence=np.full(4, 0.1))):
        np.testing.assert_array_equal(whole.seen().expression, whole.expression)


def test_concat():
    a, b = make(4, seed=1), make(3, seed=2)
    both = a.concat(b)
    for name in ("expression", "rotation", "translation", "confidence"):
        np.testing.assert_array_equal(getattr(both, name), np.concatenate([getattr(a, name), getattr(b, name)]))
    np.testing.assert_array_equal(both.audio, np.concatenate([a.audio, b.audio]))
    a.audio = a.audio[:100]  # shorter than its frames: the second part stays in sync
    both = a.concat(b)
    np.testing.assert_array_equal(both.audio[4 * 640 :], b.audio)
    assert not both.audio[100 : 4 * 640].any()
    assert a.concat(make(3, audio=None)).audio is None
    np.testing.assert_array_equal(make(6).slice(0, 2).concat(make(6).slice(2, 6)).expression, make(6).expression)
    for other in (make(3, fps=30), make(3, face_model="other:00")):
        with pytest.raises(UsageError, match="can be joined"):
            a.concat(other)


def test_resample():
    frames = 25
    times = np.arange(frames) / 25
    motion = make(
        frames,
        expression=np.outer(times, np.ones(6)),
        rotation=np.outer(times, [0, 1.0, 0]),
        translation=np.outer(times, [1, 2, 3]),
    )
    double = motion.resample(50)
    assert len(double) == 50 and double.fps == 50
    at = np.minimum(np.arange(50) / 50, times[-1])
    np.testing.assert_allclose(double.expression[:, 0], at, atol=1e-6)
    np.testing.assert_allclose(double.rotation, np.outer(at, [0, 1.0, 0]), atol=1e-6)
    np.testing.assert_allclose(double.translation[:, 2], 3 * at, atol=1e-6)
    np.testing.assert_array_equal(double.audio, motion.audio)
    assert len(motion.resample(10)) == 10
    np.testing.assert_allclose(double.resample(25).expression, motion.expression, atol=1e-6)
    assert len(make(1).resample(50)) == 1
    with pytest.raises(UsageError, match="not a frame rate"):
        motion.resample(0)


def test_resample_turns_along_the_shortest_arc():
    motion = make(2, rotation=[[0, np.pi - 0.1, 0], [0, -np.pi + 0.1, 0]])
    middle = Rotation.from_rotvec(motion.resample(50).rotation[1])
    assert (middle * Rotation.from_rotvec([0, np.pi, 0]).inv()).magnitude() < 1e-3


def test_scaled():
    motion = make()
    same = motion.scaled()
    np.testing.assert_allclose(same.rotation, motion.rotation, atol=1e-5)
    np.testing.assert_array_equal(same.expression, motion.expression)
    half = motion.scaled(expression=0.5, pose=0.5)
    np.testing.assert_allclose(half.expression, motion.expression / 2)
    np.testing.assert_allclose(half.translation[0], motion.translation[0])
    moved, half_moved = motion.translation[4] - motion.translation[0], half.translation[4] - half.translation[0]
    np.testing.assert_allclose(half_moved, moved / 2, atol=1e-6)
    first = Rotation.from_rotvec(motion.rotation[0])
    angles = [(Rotation.from_rotvec(m.rotation[4]) * first.inv()).magnitude() for m in (half, motion)]
    assert angles[0] == pytest.approx(angles[1] / 2, rel=1e-4)
    np.testing.assert_allclose(motion.scaled(pose=0).rotation, motion.still().rotation, atol=1e-6)


def test_still():
    motion = make()
    still = motion.still()
    np.testing.assert_array_equal(still.expression, motion.expression)
    assert np.ptp(still.rotation, axis=0).max() == 0 and np.ptp(still.translation, axis=0).max() == 0
    np.testing.assert_array_equal(still.rotation[0], motion.rotation[0])


def test_edits_leave_the_original_alone():
    motion, untouched = make(), make()
    motion.scaled(expression=2, pose=2), motion.still(), motion.slice(0, 5), motion.at(0), motion.resample(30)
    motion.concat(make(seed=1))
    for name in (*ARRAYS, "audio"):
        np.testing.assert_array_equal(getattr(motion, name), getattr(untouched, name))
