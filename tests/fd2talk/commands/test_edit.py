"""The command line of edits, with the bundled model on a short motion."""

import numpy as np
import pytest
from material import SPEECH, sine_motion, write_wav
from PIL import Image

from shared.media import read_audio
from shared.motion import Motion
from shared.weights import bundled


@pytest.fixture(scope="module")
def talk():
    return read_audio(SPEECH)[:48000]  # 3 s


@pytest.fixture(scope="module")
def moving(tmp_path_factory, talk):
    path = tmp_path_factory.mktemp("edit") / "moving.npz"
    sine_motion(talk).save(path)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory, talk):
    return write_wav(tmp_path_factory.mktemp("edit") / "talk.wav", talk)


def changed(before, after):
    names = ("expression", "rotation", "translation")
    return np.any([(getattr(before, n) != getattr(after, n)).any(1) for n in names], axis=0)


def test_what_is_kept_stays_and_the_rest_is_new(run, tmp_path, moving, recording, talk):
    out = tmp_path / "new" / "out.npz"
    keys = tmp_path / "keys.csv"
    keys.write_text("time,part,value\n1.6,all,as is\n2.0,head,yaw=8\n", encoding="utf-8")
    options = ("--keep", "0:.4,2.6:", "--keyframes", keys, "--seed", 3, "--preview")
    code, printed, err = run("edit", moving, "--audio", recording, *options, "-o", out)
    assert (code, printed.strip(), err) == (0, str(out), "")
    before, after = Motion.load(moving), Motion.load(out)
    assert np.flatnonzero(~changed(before, after)).tolist() == [*range(10), 40, *range(65, 75)]
    assert after.source == "fd2talk, seed 3, edit of test" and len(after.audio) == len(talk)
    picture = np.asarray(Image.open(out.with_suffix(".png")))
    assert picture.shape[1] > 1000 and picture.std() > 10


def test_without_any_option_all_is_generated_from_the_new_sound(run, tmp_path, moving, recording):
    code, _, err = run("edit", moving, "--audio", recording, "-o", tmp_path / "a.npz")
    assert (code, err) == (0, "") and changed(Motion.load(moving), Motion.load(tmp_path / "a.npz")).all()


def test_cut_and_insert(run, tmp_path, moving, recording, talk):
    code, _, err = run("edit", moving, "--cut", "1:1.4", "--insert", f"2:{recording}", "-o", tmp_path / "a.npz")
    assert (code, err) == (0, "")
    before, after = Motion.load(moving), Motion.load(tmp_path / "a.npz")
    assert len(after) == 75 - 10 + 75 and len(after.audio) == len(talk) + 65 * 640
    for new, old in ((slice(0, 22), slice(0, 22)), (slice(28, 37), slice(38, 47)), (slice(118, 140), slice(53, 75))):
        assert np.array_equal(after.expression[new], before.expression[old])
        assert np.array_equal(after.rotation[new], before.rotation[old])


def test_parts_and_no_speech(run, tmp_path, moving):
    options = ("--part", "head", "--unconditional", "--still")
    assert run("edit", moving, *options, "-o", tmp_path / "a.npz")[0] == 0
    before, after = Motion.load(moving), Motion.load(tmp_path / "a.npz")
    assert np.array_equal(after.expression, before.expression) and changed(before, after).all()
    assert np.abs(np.diff(after.rotation, axis=0)).max() < 1e-6  # --still


def test_lists_may_have_commas(run, tmp_path, moving, recording):
    """As one option or as several, and in a file of settings."""
    config = tmp_path / "c.yaml"
    config.write_text("part: lips,upper\n", encoding="utf-8")
    found = []
    for given in (("--part", "lips, upper"), ("--part", "lips", "--part", "upper"), ("--config", config)):
        out = tmp_path / f"{len(found)}.npz"
        code, _, err = run("edit", moving, "--audio", recording, *given, "-o", out)
        assert (code, err) == (0, "")
        found.append(Motion.load(out))
    before = Motion.load(moving)
    assert changed(before, found[0]).all() and np.array_equal(found[0].rotation, before.rotation)
    assert all(np.array_equal(one.expression, found[0].expression) for one in found)
    more = tmp_path / "1,2.wav"  # of a file's name a comma is part
    more.write_bytes(recording.read_bytes())
    inserts = ("--insert", f"1:{more},2.5:{recording}", "--cut", "0.2:0.4,0.6:0.8", "--unconditional")
    assert run("edit", moving, *inserts, "-o", tmp_path / "inserted.npz")[0] == 0
    assert len(Motion.load(tmp_path / "inserted.npz")) == 75 - 10 + 2 * 75


@pytest.mark.situation(
    "Command line",
    "an edit whose keys lie outside the motion, overlap, or leave nothing to generate",
    "one line that says which, and nothing is written",
)
def test_errors_are_one_line_and_nothing_is_written(refused, tmp_path, moving, recording, talk, audio):
    files = tmp_path / "files"
    files.mkdir()
    (files / "outside.csv").write_text("time,part\n3.5,all\n", encoding="utf-8")
    (files / "part.csv").write_text("time,part\n1,nose\n", encoding="utf-8")
    np.savez(files / "k.npz", time=[0.0], part=["all"])
    (files / "damaged.npz").write_bytes((files / "k.npz").read_bytes()[:-40])
    other = sine_motion(talk)
    other.face_model = "other:0123456789abcdef"
    other.save(files / "other.npz")
    silent = sine_motion(talk)
    silent.audio = None
    silent.save(files / "silent.npz")

    def fails(*arguments, saying, source=moving):
        refused("edit", source, *arguments, "-o", tmp_path / "o.npz", folder=tmp_path, saying=saying)

    fails("--keep", "2:4", saying="--keep 2:4 lies outside the motion, which lasts 3.00 s")
    fails("--keep", "0:1,.5:2", saying="overlap at 0.48 s")
    fails("--keep", "2:1", saying="--keep 2:1 is reversed")
    fails("--keep", "two", saying="--keep two")
    fails("--keep", "0:", saying="everything is kept: there is nothing to generate")
    fails("--keyframes", files / "outside.csv", saying="outside.csv, line 2: the key at 3.5 s lies outside")
    fails("--keyframes", files / "part.csv", saying="no part 'nose'")
    fails("--keyframes", files / "damaged.npz", saying="damaged.npz: not a keyframe file")
    fails("--keyframes", files / "none.csv", saying="none.csv: no such file")
    fails("--part", "nose", saying="nose")
    fails("--part", "lips,nose", saying="'nose' is not one of")
    fails("--part", "lips,", saying="'' is not one of")
    fails("--audio", audio, saying="the speech lasts 0.40 s, the motion 3.00 s")
    fails("--cut", "1:9", saying="--cut 1:9 lies outside")
    fails("--insert", "x", saying="--insert x is not TIME:AUDIO")
    fails("--insert", f"1:{files / 'none.wav'}", saying="none.wav")
    fails("--every", "0", saying="--every")
    fails("--insert", f"8:{recording}", saying="--insert 8 lies outside")
    fails("--audio", recording, saying="belongs to face model other", source=files / "other.npz")
    fails(saying="has no sound", source=files / "silent.npz")
    fails(saying="none.npz", source=files / "none.npz")
    ridge = ("--weights", bundled("ridge"), "--unconditional")
    fails(*ridge, saying="ridge cannot generate without speech")
    refused("edit", moving, "-o", moving, folder=tmp_path, saying="it is one of the inputs")
    (tmp_path / "o.png").write_bytes(b"a picture")
    fails("--preview", saying="o.png: it already exists")
