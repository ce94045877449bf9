import csv
import shutil

import numpy as np
import pytest
from failing_prepare import failing_prepare
from material import DEMO
from one_process import in_this_process
from PIL import Image
from said import said

from fd2talk.commands.prepare import find_clips, split_of
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.motion import Motion
from shared.prepared import clip_frames, load_track, read_index
from shared.video_writer import VideoWriter

VIDEOS = (".mp4",)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two people's clips (a portrait that wanders, one small in a large frame), one broken file."""
    folder = tmp_path_factory.mktemp("clips")
    for person, size, frame in (("woman", 240, (240, 240)), ("man", 180, (960, 540))):
        face = Image.open(DEMO / f"portrait_{person}.jpg").resize((size, size))
        (folder / person / "deep").mkdir(parents=True)
        with VideoWriter(folder / person / "deep" / "one.mp4", frame, audio=np.zeros(6400, np.float32)) as writer:
            for i in range(10):
                canvas = Image.new("RGB", frame, "grey")
                canvas.paste(face, (frame[0] - size - 2 * i, frame[1] - size))
                writer.write(np.asarray(canvas))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def here(monkeypatch):
    """Do the work in this process."""
    return lambda: monkeypatch.setattr("fd2talk.cluster.in_processes", in_this_process)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_prepare_resumes_and_reports_what_it_leaves_out(clips, tmp_path, run, here):
    stills = tmp_path / "stills"
    stills.mkdir()
    Image.open(DEMO / "portrait_woman_2.jpg").resize((300, 300)).save(stills / "a.png")
    out = tmp_path / "out"
    code, printed, err = run("prepare", clips, out, "--photos", stills, "--workers", 1)
    assert code == 0 and printed.strip() == str(out)
    assert len(said(err)) == 1 and "left out" in err and "broken.mp4" in err
    index = {row["person"]: row for row in rows(out / "index.csv")}
    assert set(index) == {"woman", "man"}
    assert index["man"]["name"] == "man__deep__one" and index["man"]["frames"] == "10"
    motion = Motion.load(out / "motions" / "man__deep__one.npz", face_model=load_bundled().fingerprint)
    assert len(motion) == 10 and len(motion.audio) == 6400
    track = load_track(out / "tracks" / "man__deep__one.npz")
    landmarks, confidence, crop = track.landmarks, track.confidence, track.crop
    # The face is found in a corner of the large frame, and its points are in the frame's own pixels.
    assert landmarks.shape == (10, 478, 3) and confidence.min() == 1
    assert 700 < crop.center_x < 960 and 380 < crop.center_y < 540
    drift = landmarks[-1, :, 0].mean() - landmarks[0, :, 0].mean()
    assert drift == pytest.approx(-18, abs=3)
    assert str(np.load(out / "portraits.npz")["names"][0]) == "a.png"

    before = (out / "motions" / "woman__deep__one.npz").stat().st_mtime_ns
    (out / "motions" / "man__deep__one.npz").unlink()
    here()
    assert run("prepare", clips, out, "--workers", 1)[0] == 0
    assert (out / "motions" / "woman__deep__one.npz").stat().st_mtime_ns == before
    assert np.array_equal(Motion.load(out / "motions" / "man__deep__one.npz").audio, motion.audio)


def test_splits_at_cuts_and_leaves_out_another_person(tmp_path, run, here):
    here()
    woman, man = (Image.open(DEMO / f"portrait_{name}.jpg").resize((240, 240)) for name in ("woman", "man"))
    shots = [(woman, 30), (man, 26), (woman.crop((20, 20, 220, 220)).resize((240, 240)), 28), (woman, 10)]
    tone = 0.5 * np.sin(np.arange(94 * 640) * 0.3).astype(np.float32)
    tone[: 60 * 640] = 0  # it begins in the fourth frame of the second woman
    (tmp_path / "clips").mkdir()
    with VideoWriter(tmp_path / "clips" / "edited.mp4", (240, 240), audio=tone) as writer:
        for picture, frames in shots:
            for _ in range(frames):
                writer.write(np.asarray(picture))
    out = tmp_path / "out"
    code, _, err = run("prepare", tmp_path / "clips", out, "--workers", 1)
    assert code == 0 and len(said(err)) == 1
    assert "cuts at 1.20, 2.24, 3.36 s: kept 58 of 94 frames in 2 parts; left out 26 frames of another person" in err
    first, second = read_index(out)
    assert (first["name"], first["start"], first["frames"]) == ("edited", "0", "30")
    assert (second["name"], second["start"], second["frames"]) == ("edited__part2", "56", "28")
    motions = [Motion.load(out / "motions" / f"{row['name']}.npz") for row in (first, second)]
    assert [len(m.audio) for m in motions] == [30 * 640, 28 * 640]
    loud = np.abs(motions[1].audio).reshape(28, 640).max(1) > 0.2
    assert not np.abs(motions[0].audio).max() > 0.05 and loud[5:].all() and not loud[:3].any()
    frames = list(clip_frames(tmp_path / "clips", second))
    assert len(frames) == 28
    assert np.abs(frames[0].astype(float) - np.asarray(shots[2][0].convert("RGB"))).mean() < 6
    part, fitted = out / "tracks" / "edited__part2.npz", out / "motions" / "edited.npz"
    before = part.stat().st_mtime_ns
    assert run("prepare", tmp_path / "clips", out, "--workers", 1)[0] == 0
    assert part.stat().st_mtime_ns == before and len(read_index(out)) == 2
    # What is damaged or gone is made again.
    content = part.read_bytes()
    part.write_bytes(content[:5000])
    fitted.write_bytes(fitted.read_bytes()[:3000])
    assert run("prepare", tmp_path / "clips", out, "--workers", 1)[0] == 0
    assert part.read_bytes() == content and len(Motion.load(fitted)) == 30 and len(read_index(out)) == 2


def test_manifest_decides(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,person,split,audio,lag\na/b.mp4,ann,val,weak,2\nc.mp4,,,,\n")
    first, second = find_clips(str(tmp_path), VIDEOS)
    assert (first.name, first.split, first.facts) == ("ann__a__b", "val", {"audio": "weak", "lag": "2"})
    assert (second.person, second.name, second.split) == ("c", "c", split_of("c"))
    (tmp_path / "manifest.csv").write_text("nothing\n1\n")
    with pytest.raises(InputError, match="column"):
        find_clips(str(tmp_path), VIDEOS)


def test_folders_that_hold_nothing(tmp_path, run, refused):
    with pytest.raises(UsageError, match="no such folder"):
        find_clips(str(tmp_path / "none"), VIDEOS)
    refused("prepare", tmp_path, tmp_path / "out", folder=tmp_path, saying="no files to read")
    (tmp_path / "manifest.csv").write_text("file\na/b.mp4\na/b.mov\n")
    refused("prepare", tmp_path, tmp_path / "out", folder=tmp_path, saying="the same name a__b")


def test_a_tenth_of_the_people_validates():
    splits = [split_of(f"person {i}") for i in range(2000)]
    assert 150 < splits.count("val") < 250
    assert split_of("person 1") == splits[1]


def test_names_that_would_collide_and_manifests_that_cannot_be_read(tmp_path, refused):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("a.mp4", "a__part2.mp4"):
        (clips / name).write_bytes(b"video")
    refused("prepare", clips, tmp_path / "out", folder=tmp_path, saying="rename a__part2.mp4")
    (clips / "manifest.csv").write_text("file,person,split\na.mp4,ann,val\na.mp4,ann,train\n")
    refused("prepare", clips, tmp_path / "out", folder=tmp_path, saying="same name")
    (clips / "manifest.csv").write_bytes(b"\xff\xfefile")
    refused("prepare", clips, tmp_path / "out", folder=tmp_path, saying="cannot read")


def test_names_that_the_index_cannot_hold_are_refused_before_any_work(tmp_path, refused):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a\udcff.mp4").touch()
    saying = r"the name of a\udcff.mp4 is not UTF-8; rename it"
    refused("prepare", tmp_path / "clips", tmp_path / "out", folder=tmp_path, saying=saying)


def test_a_clip_at_which_something_unexpected_fails_stops_no_other(clips, tmp_path, run):
    folder, out = tmp_path / "clips", tmp_path / "out"
    shutil.copytree(clips, folder)
    (folder / "bad").mkdir()
    shutil.copy(clips / "man" / "deep" / "one.mp4", folder / "bad" / "two.mp4")
    code, printed, err = failing_prepare(tmp_path, folder, out, "--workers", 2)
    lines = [line for line in err.strip().splitlines() if "left out" in line]
    assert code == 1 and printed.strip() == str(out) and len(lines) == 2 and "Traceback" not in err, err
    assert lines[1] == err.strip().splitlines()[-1] and "broken.mp4" in lines[0]
    assert lines[1] == f"fd2talk: left out: {folder / 'bad' / 'two.mp4'}: unexpected RuntimeError: no such tensor: mesh"
    assert [row["person"] for row in rows(out / "index.csv")] == ["man", "woman"]
    # The next run, with a tracker that works, does what is missing.
    assert run("prepare", folder, out, "--workers", 1)[0] == 0
    assert [row["person"] for row in rows(out / "index.csv")] == ["bad", "man", "woman"]


def test_where_every_clip_fails_unexpectedly_there_is_no_index(clips, tmp_path):
    (tmp_path / "clips" / "bad").mkdir(parents=True)
    shutil.copy(clips / "man" / "deep" / "one.mp4", tmp_path / "clips" / "bad" / "two.mp4")
    code, printed, err = failing_prepare(tmp_path, tmp_path / "clips", tmp_path / "out", "--workers", 1)
    first, last = err.strip().splitlines()[-2:]
    assert code == 1 and not printed and "two.mp4: unexpected RuntimeError: no such tensor" in first
    assert "none of the 1 clips" in last and not (tmp_path / "out").exists()


def test_where_nothing_can_be_used_nothing_is_left(tmp_path, run, here):
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(b"no video")
    (tmp_path / "there" / "tracks").mkdir(parents=True)  # of somebody
    before = sorted(tmp_path.rglob("*"))
    for out in ("new/deep", "there"):
        code, printed, err = run("prepare", tmp_path / "clips", tmp_path / out, "--workers", 1)
        assert code == 1 and printed == "" and said(err)[-1].endswith("none of the 2 clips in %s could be used" % (
            tmp_path / "clips"))  # fmt: skip
        assert sorted(tmp_path.rglob("*")) == before
