import numpy as np
import pytest
from material import short_speech, sine_motion

from fd2talk.export.live_link import head_angles
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from stage1_motion.editing.face_curves import Rest, read_curve
from stage1_motion.editing.keyframes import Keyframe, as_is_every, part_mask, read_keyframes

MODEL = load_bundled()


def read(tmp_path, text):
    path = tmp_path / "keys.csv"
    path.write_text(text, encoding="utf-8")
    return read_keyframes(path, MODEL)


def put(key, frame=3):
    """A motion with the key in it, and without."""
    motion, before = sine_motion(short_speech()), sine_motion(short_speech())
    key.put(motion, frame, MODEL)
    for name in ("expression", "rotation", "translation"):
        apart = (getattr(motion, name) != getattr(before, name)).any(1)
        assert not apart[[k for k in range(len(motion)) if k != frame]].any()
    return motion.at(frame), before.at(frame)


def test_numbers_of_an_animator(tmp_path):
    keys = read(tmp_path, "time, part, value\n.1,lips,gap=8\n.2,head,yaw=10 pitch=-5\n.3,eyes,closed=1\n.3,all,\n")
    assert [(key.time, key.part, key.mask.tolist()) for key in keys] == [
        (0.1, "lips", [True, False, False, False]), (0.2, "head", [False, False, False, True]),
        (0.3, "eyes", [False, False, True, False]), (0.3, "all", [True] * 4),
    ]  # fmt: skip
    lips, was = put(keys[0])
    assert lip_gap(MODEL.vertices(lips.identity, lips.expression))[0] == pytest.approx(8, abs=1e-3)
    assert np.array_equal(lips.rotation, was.rotation)
    head, was = put(keys[1])
    yaw, pitch, roll = np.degrees(head_angles(head.rotation))[0]
    assert (yaw, pitch) == (pytest.approx(10, abs=1e-3), pytest.approx(-5, abs=1e-3))
    assert roll == pytest.approx(np.degrees(head_angles(was.rotation))[0, 2], abs=1e-3)
    assert np.array_equal(head.expression, was.expression)
    eyes, was = put(keys[2])
    lids = [lid_gap(MODEL.vertices(m.identity, m.expression))[0] for m in (eyes, was)]
    assert abs(lids[0]) < 0.2 < 3 < lids[1]
    same, was = put(keys[3])
    assert np.array_equal(same.expression, was.expression) and np.array_equal(same.rotation, was.rotation)


def test_curves_of_arkit(tmp_path):
    smile, brows = read(tmp_path, "time,part,value\n.1,lips,gap=6 smile=0.6\n.2,upper,brows=-0.4\n")
    assert smile.mask.tolist() == [True, False, False, False] and brows.mask.tolist() == [False, True, False, False]
    rest = Rest.of(sine_motion(short_speech()), MODEL)
    for key in (smile, brows):
        motion = sine_motion(short_speech())
        key.put(motion, 3, MODEL)
        for name, value in key.numbers.items():
            assert read_curve(name, motion.expression[[3]], rest, MODEL)[0] == pytest.approx(value, abs=0.02)
    for text, saying in (
        ("lips,smile=2", "smile is a number from 0 to 1"),
        ("lips,brows=0", "brows is a value of upper, not of"),
    ):
        with pytest.raises(InputError, match=f"line 2: {saying}"):
            read(tmp_path, f"time,part,value\n0,{text}\n")


def test_a_key_of_another_motion_file(tmp_path):
    other = sine_motion(short_speech()).scaled(expression=0.5, pose=3.0)
    other.save(tmp_path / "other.npz")
    keys = read(tmp_path, "time,part,value\n.2,face,other.npz@.12\n.2,head,other.npz@.12\n")
    face, was = put(keys[0])
    assert np.array_equal(face.expression[0], other.expression[3]) and np.array_equal(face.rotation, was.rotation)
    head, was = put(keys[1])
    assert np.array_equal(head.rotation[0], other.rotation[3]) and np.array_equal(head.expression, was.expression)
    for value, saying in (
        ("none.npz@1", "no such file"),
        ("other.npz@9", "no frame at 9"),
        ("other.npz@x", "'x' is n"),
    ):
        with pytest.raises(InputError, match=saying):
            read(tmp_path, f"time,part,value\n.2,face,{value}\n")


def test_comments_blank_lines_and_case(tmp_path):
    text = "# keys\n\nTime,Part,Value\n  # first\n0.5,Lips,GAP=8\n  ,\n1,HEAD,Yaw=9 pitch=-2\n#2,all,\n3,lips,gap=99\n"
    with pytest.raises(InputError, match="line 9: gap is a number from -5 to 60, not 99"):
        read(tmp_path, text)
    keys = read(tmp_path, text.replace("99", "7"))
    assert [(key.time, key.part, key.numbers) for key in keys] == [
        (0.5, "lips", {"gap": 8}), (1, "head", {"yaw": 9, "pitch": -2}), (3, "lips", {"gap": 7})]  # fmt: skip


@pytest.mark.parametrize(
    "values, saying",
    [({"rotation": [1e30, 0, 0]}, "rotation consists"), ({"translation": [1e20, 0, 0]}, "translation consists"),
     ({"translation": [0, 200, 0]}, "translation consists"), ({"expression": 1e6}, "expression consists of numbers")],
)  # fmt: skip
def test_archives_with_absurd_numbers(tmp_path, values, saying):
    if "expression" in values:
        values = {"expression": np.full(MODEL.num_expression, 1e6)}
    np.savez(tmp_path / "k.npz", time=[0.2], part=["all"], **{name: [value] for name, value in values.items()})
    with pytest.raises(InputError, match=f"k.npz, key 1: {saying}"):
        read_keyframes(tmp_path / "k.npz", MODEL)


@pytest.mark.parametrize(
    "arguments, saying",
    [((np.nan, "lips"), "time nan"), (("1", "lips"), "time '1'"), ((1, "lips", {"foo": 1}), "no value 'foo'"),
     ((1, "nose"), "no part 'nose'"), ((1, "lips", {"gap": np.nan}), "gap is a number"),
     ((1, "head", {}, None, np.full(3, np.inf)), "rotation consists of numbers")],
)  # fmt: skip
def test_keys_that_are_none(arguments, saying):
    with pytest.raises(InputError, match=saying):
        Keyframe(*arguments)


def test_archives(tmp_path):
    expression = np.full((3, MODEL.num_expression), np.nan, np.float32)
    expression[1] = 0.25
    rotation = np.array([[np.nan] * 3, [0.1, 0.2, 0.3], [np.nan] * 3])
    settings = {"expression": expression, "rotation": rotation, "face_model": MODEL.fingerprint}
    np.savez(tmp_path / "k.npz", time=[0.0, 0.2, 0.4], part=["all", "all", "head"], **settings)
    keys = read_keyframes(tmp_path / "k.npz", MODEL)
    assert [key.part for key in keys] == ["all", "all", "head"] and keys[0].expression is None
    moved, _ = put(keys[1])
    assert np.array_equal(moved.expression[0], expression[1])
    np.testing.assert_allclose(moved.rotation[0], rotation[1], atol=1e-6)


@pytest.mark.parametrize(
    "text, saying",
    [("", "columns time, part and value"), ("a,b\n1,2\n", "columns time"), ("time,part,value\n", "no keyframes in it"),
     ("time,part,value\nx,all,\n", "line 2: time 'x' is not a number"), ("time,part\nnan,all\n", "not a number"),
     ("time,part,value\n0,nose,\n", "line 2: there is no part 'nose'"), ("time,part,value\n0,lips,wide\n", "neither"),
     ("time,part,value\n0,lips,yaw=3\n", "yaw is a value of head, not of lips"), ("time,part\n0,all,1,2\n", "more val"),
     ("time,part,value\n0,lips,gap=99\n", "from -5 to 60"), ("time,part,value\n0,lips,gap=\n", "gap '' is not")],
)  # fmt: skip
def test_tables_that_are_none(tmp_path, text, saying):
    with pytest.raises(InputError, match=saying) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value) and "keys.csv" in str(caught.value)


def test_archives_that_are_none(tmp_path):
    good = {"time": [0.0], "part": ["all"]}
    for name, arrays, saying in (
        ("lacks", {"time": [0.0]}, "lacks time or part"),
        ("longer", {"time": [0.0, 1.0], "part": ["all"]}, "as many names"),
        ("part", {"time": [0.0], "part": ["nose"]}, "no part 'nose'"),
        ("size", good | {"rotation": np.zeros((1, 4))}, "rotation must be numbers"),
        ("half", good | {"rotation": np.array([[0, np.nan, 0]])}, "NaN as a whole"),
        ("model", good | {"face_model": "other:1"}, "belong to face model other:1"),
        ("empty", {"time": np.zeros(0), "part": np.zeros(0, "U3")}, "no keyframes in it"),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(InputError, match=saying):
            read_keyframes(tmp_path / f"{name}.npz", MODEL)
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "size.npz").read_bytes()[:-90])
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00time")
    for name in ("damaged.npz", "binary.csv", "none.csv", "none.npz"):
        with pytest.raises(InputError, match=name):
            read_keyframes(tmp_path / name, MODEL)


def test_every():
    assert [round(key.time * 25) for key in as_is_every(0.5, 50)] == [0, 12, 25, 38]
    assert len(as_is_every(0.04, 50)) == 50 and len(as_is_every(100, 50)) == 1


def test_parts():
    assert part_mask(["face"]).tolist() == [True, True, True, False] and part_mask([]).tolist() == [False] * 4
    assert part_mask(["upper", "head"]).tolist() == [False, True, False, True] and part_mask(["all"]).all()
