import csv
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_set_trees import SUBJECTS, touch, write_voca_arrays
from material import DEMO
from one_process import in_this_process
from PIL import Image

from fd2talk.commands.manifest import _make_clip
from fd2talk.commands.prepare import find_clips
from fd2talk.datasets.found import Found
from shared.errors import Fd2TalkError
from shared.motion import Motion
from shared.prepared import read_index


@pytest.fixture
def here(monkeypatch):
    """Do the work in this process."""
    for name in ("commands.manifest", "cluster"):
        monkeypatch.setattr(f"fd2talk.{name}.in_processes", in_this_process)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_several_data_sets_in_one_manifest(tmp_path, run):
    touch(
        tmp_path / "data" / "HDTF", *(f"clips/WDA_Speaker{'ABCDEFGH'[i]}{k}_000.mp4" for i in range(8) for k in (0, 1))
    )
    touch(tmp_path / "data" / "HDTF", "audios/WDA_SpeakerA0_000.wav")
    touch(tmp_path / "data" / "TFHP", "data/TH_00000/000.mp4", "data/TH_00001/000.mp4")
    manifest = tmp_path / "manifest.csv"
    sources = (f"hdtf={tmp_path}/data/HDTF", f"tfhp={tmp_path}/data/TFHP")
    code, out, err = run("manifest", *sources, "-o", manifest, "--split", "fd2talk", "--seed", 3)
    assert code == 0 and out.strip() == str(manifest)
    assert "18 clips of 10 people (7 train, 1 val, 2 test)" in err
    assert f"next: fd2talk prepare {tmp_path}/data OUT --manifest {manifest}" in err
    listed = rows(manifest)
    assert list(listed[0]) == ["file", "person", "split", "dataset", "sound", "subset"]
    assert listed[0] == {
        "file": "HDTF/clips/WDA_SpeakerA0_000.mp4",
        "person": "SpeakerA",
        "split": listed[1]["split"],  # that of the speaker's other clip
        "dataset": "hdtf",
        "sound": "HDTF/audios/WDA_SpeakerA0_000.wav",
        "subset": "WDA",
    }
    # What it writes is what `prepare` reads.
    clips = find_clips(str(tmp_path / "data"), (), str(manifest))
    assert [(c.file, c.person, c.split) for c in clips] == [(r["file"], r["person"], r["split"]) for r in listed]
    before = manifest.read_bytes()
    assert run("manifest", *sources, "-o", manifest, "--split", "fd2talk", "--seed", 3, "--overwrite")[0] == 0
    assert manifest.read_bytes() == before
    assert run("manifest", *sources, "-o", manifest, "--split", "fd2talk", "--seed", 4, "--overwrite")[0] == 0
    assert manifest.read_bytes() != before
    assert run("manifest", *sources, "-o", manifest, "--overwrite")[0] == 0
    assert "split" not in rows(manifest)[0]  # `prepare` decides


def test_meshes_are_made_once_prepared_and_bad_ones_left_out(tmp_path, run, monkeypatch):
    """VOCASET as a whole: arrays -> clips of points -> motions with sound of all three splits."""
    voca, made, out = write_voca_arrays(tmp_path / "voca"), tmp_path / "made", tmp_path / "out"
    verts = np.load(voca / "data_verts.npy")
    verts[-3:] = np.nan  # of the last subject that was written
    np.save(voca / "data_verts.npy", verts)
    arguments = ("manifest", f"vocaset={voca}", "-o", made / "manifest.csv", "--clips", made, "--split", "published")
    made.mkdir()
    code, _, err = run(*arguments, "--workers", 1)
    assert code == 0 and "left out" in err and "not finite" in err
    assert "2 clips of 2 people (1 train, 1 val)" in err
    listed = rows(made / "manifest.csv")
    assert [row["file"] for row in listed] == sorted(p.relative_to(made).as_posix() for p in made.rglob("*.npz"))
    tried = []  # again: what is not there
    monkeypatch.setattr("fd2talk.commands.manifest.in_processes", lambda work, jobs, *rest: tried.extend(jobs))
    assert run(*arguments, "--overwrite")[0] == 0 and rows(made / "manifest.csv") == listed
    assert [path.relative_to(made).as_posix() for _, path in tried] == [f"{SUBJECTS[2]}/sentence01.npz"]
    monkeypatch.setattr("fd2talk.cluster.in_processes", in_this_process)
    assert run("prepare", made, out, "--workers", 1)[0] == 0
    index = read_index(out)
    assert [(row["split"], row["frames"], row["audio"], row["face_px"]) for row in index] == [
        ("train", "50", "ok", "0"),
        ("val", "50", "ok", "0"),
    ]
    motion = Motion.load(out / "motions" / f"{index[0]['name']}.npz")
    assert len(motion) == 50 and len(motion.audio) == 32000 and np.ptp(motion.expression[:, 0]) > 0.1
    assert not np.abs(motion.audio[:7900]).max() > 0.01


def test_sound_of_another_file_and_a_manifest_elsewhere(tmp_path, run, here):
    """MEAD: the video has no sound, the tree of sounds has."""
    from media_files import tone, write_video
    from scipy.io import wavfile

    face = np.asarray(Image.open(DEMO / "portrait_woman.jpg").convert("RGB").resize((240, 240)))
    clip, sound = (
        tmp_path / f"mead/W009/{kind}/001" for kind in ("video/front/neutral/level_1", "audio/neutral/level_1")
    )
    for path in (clip, sound):
        path.parent.mkdir(parents=True)
    write_video(clip.with_suffix(".mp4"), [face] * 10)
    wavfile.write(sound.with_suffix(".wav"), 16000, tone(3, 16000))
    assert run("manifest", f"mead={tmp_path}/mead", "-o", tmp_path / "m.csv")[0] == 0
    out = tmp_path / "out"
    code, _, err = run("prepare", tmp_path / "mead", out, "--manifest", tmp_path / "m.csv", "--workers", 1)
    assert code == 0, err
    (row,) = read_index(out)
    assert (row["audio"], row["emotion"], row["sound"]) == ("ok", "neutral", "W009/audio/neutral/level_1/001.wav")
    motion = Motion.load(out / "motions" / f"{row['name']}.npz")
    np.testing.assert_allclose(motion.audio, tone(3, 16000)[:6400], atol=1e-3)


@pytest.mark.parametrize(
    ("sources", "saying"),
    [
        (["hdtf"], "hdtf: give DATASET=FOLDER, with one of hdtf, mead, tfhp, vfhq, vocaset, voxceleb2"),
        (["lrs3={folder}"], "lrs3={folder}: give DATASET=FOLDER"),
        (["mead="], "mead=: give DATASET=FOLDER"),
        (["mead={folder}/none"], "none: there is no such folder"),
        (["mead={folder}/hdtf"], "no clips of MEAD; it looks like HDTF"),
        (["hdtf={folder}/hdtf", "hdtf={folder}/hdtf"], "give each data set once"),
        (["vocaset={folder}/voca"], "VOCASET: 3 clips are pictures or meshes; give --clips FOLDER"),
        (["hdtf={folder}/hdtf", "--split", "published"], "no split is published for this clip or any other"),
        (["hdtf={folder}/hdtf", "-o", "{folder}/hdtf/RD_Radio1_000.mp4"], "already exists"),
        (["hdtf={folder}/hdtf", "--split", "train"], "'train' is not one of"),
    ],
)
def test_what_cannot_be_listed(tmp_path, refused, sources, saying):
    touch(tmp_path / "hdtf", "RD_Radio1_000.mp4")
    write_voca_arrays(tmp_path / "voca")
    arguments = [text.format(folder=tmp_path) for text in sources]
    output = () if "-o" in arguments else ("-o", tmp_path / "m.csv")
    refused("manifest", *arguments, *output, folder=tmp_path, saying=saying.format(folder=tmp_path))


def test_pictures_and_videos_of_one_data_set_have_a_common_root(tmp_path, run, here):
    names = ("Clip+_5rNOD1nsDg+P0+C0+F575-769", "Clip+XCHmk9jOypY+P1+C2+F10-12")
    touch(tmp_path / "data" / "VFHQ", f"VFHQ-Test/{names[1]}.mp4")
    pictures = tmp_path / "data" / "VFHQ" / "VFHQ-Train" / names[0]
    pictures.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (32, 32), "red").save(pictures / f"{number:08d}.png")
    places = ("-o", tmp_path / "m.csv", "--clips", tmp_path / "data" / "made")
    arguments = (f"vfhq={tmp_path}/data/VFHQ", *places, "--workers", 1, "--split", "published")
    code, _, err = run("manifest", *arguments)
    assert code == 0 and "1 clip has no file of facts" in err, err
    assert f"next: fd2talk prepare {tmp_path}/data OUT" in err
    assert [(row["file"], row["split"], row["audio"]) for row in rows(tmp_path / "m.csv")] == [
        (f"VFHQ/VFHQ-Test/{names[1]}.mp4", "test", ""),
        (f"made/_5rNOD1nsDg+P0/{names[0]}.mp4", "train", "none"),
    ]
    assert (tmp_path / "data" / "made" / "_5rNOD1nsDg+P0" / f"{names[0]}.mp4").stat().st_size > 500


def test_the_next_command_can_be_pasted(tmp_path, run):
    touch(tmp_path / "my 'data'", "RD_Radio1_000.mp4")
    code, _, err = run("manifest", f"hdtf={tmp_path}/my 'data'", "-o", tmp_path / "a b.csv")
    assert code == 0 and "1 clip of 1 person\n" in err
    words = shlex.split(err.split("next: ")[1].strip())
    assert words == ["fd2talk", "prepare", f"{tmp_path}/my 'data'", "OUT", "--manifest", f"{tmp_path}/a b.csv"]


def test_clips_inside_the_data_set(tmp_path, refused):
    folder = write_voca_arrays(tmp_path / "voca")
    (tmp_path / "link").symlink_to(folder)
    for place in (folder / "clips", folder, tmp_path / "link" / "clips"):
        arguments = ("manifest", f"vocaset={folder}", "-o", tmp_path / "m.csv", "--clips", place)
        refused(*arguments, folder=tmp_path, saying=f"--clips {place} lies in the data set's folder {folder}")


def test_a_clip_that_fails_in_any_way_is_left_out_by_name(tmp_path):
    def fail(error):
        def make(_):
            raise error

        return Found(Path("a", "b.mp4"), "a", make=make)

    with pytest.raises(Fd2TalkError, match=r"a/b.mp4: cannot be made \(IndexError: out of range\)"):
        _make_clip(fail(IndexError("out of range")), tmp_path / "b.mp4")
    with pytest.raises(Fd2TalkError, match="a/b.mp4: takes more memory than there is"):
        _make_clip(fail(MemoryError()), tmp_path / "b.mp4")


def test_no_empty_folders_of_people_stay(tmp_path, run, here):
    names = ("Clip+_5rNOD1nsDg+P0+C0+F575-769", "Clip+XCHmk9jOypY+P1+C2+F10-12")
    for name, size in zip(names, (32, 1)):
        (tmp_path / "VFHQ" / name).mkdir(parents=True)
        Image.new("RGB", (size, size)).save(tmp_path / "VFHQ" / name / "00000001.png")
    places = ("-o", tmp_path / "m.csv", "--clips", tmp_path / "made")
    code, _, err = run("manifest", f"vfhq={tmp_path}/VFHQ", *places, "--workers", 1)
    assert code == 0 and "left out" in err and "1 x 1 pixels" in err
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["_5rNOD1nsDg+P0"]
    shutil.rmtree(tmp_path / "VFHQ" / names[0])
    before = sorted(tmp_path.rglob("*"))
    places = ("-o", tmp_path / "n.csv", "--clips", tmp_path / "new" / "made")
    code, _, err = run("manifest", f"vfhq={tmp_path}/VFHQ", *places, "--workers", 1)
    assert code == 1 and "none of the 1 clip could be made" in err and sorted(tmp_path.rglob("*")) == before


def test_folders_that_are_not_utf_8(tmp_path, refused):
    touch(tmp_path / "b\udcff", "RD_Radio2_000.mp4")
    touch(tmp_path / "mead", "M003/video/front/angry/level_1/001.mp4")
    sources = (f"hdtf={tmp_path}/b\udcff", f"mead={tmp_path}/mead")
    refused("manifest", *sources, "-o", tmp_path / "m.csv", folder=tmp_path, saying="a name that is not UTF-8")
