"""VOCASET in both of its layouts, written here; its own files need a licence."""

import pickle

import numpy as np
import pytest
from data_set_trees import SUBJECTS, speech_meshes, write_voca_arrays, write_voca_meshes

from fd2talk.datasets.layouts import assign_splits, read_layout
from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.point_clip import load_points


def made(clip, folder):
    folder.mkdir(exist_ok=True)
    clip.make(folder / "clip.npz")
    return load_points(folder / "clip.npz")


def test_training_data(tmp_path):
    write_voca_arrays(tmp_path / "voca" / "trainingdata")
    reading = read_layout("vocaset", tmp_path / "voca")
    assert reading.notes == [f"1 sequence without sound or template is left out (such as {SUBJECTS[2]}/sentence40)"]
    assert [clip.file.as_posix() for clip in reading.clips] == sorted(f"{s}/sentence01.npz" for s in SUBJECTS)
    splits = dict(zip((clip.person for clip in reading.clips), assign_splits(reading.clips, "published", 0)[0]))
    assert splits == dict(zip(SUBJECTS, ("train", "val", "test")))
    assert reading.clips[0].facts == {"audio": "ok", "face_px": "0"}
    clip = made(reading.clips[0], tmp_path / "made")
    # 120 meshes at 60 a second are 50 frames at 25; the mouth opens twice a second in both.
    _, _, opening = speech_meshes()
    assert clip.landmarks.shape == (50, 478, 3) and clip.confidence.all() and not clip.cuts
    wanted = np.interp(np.arange(50) / 25, np.arange(120) / 60, opening)
    assert np.corrcoef(lip_aperture(clip.landmarks), wanted)[0, 1] > 0.99
    # 2 s of sound at 22 kHz, silent for half a second.
    assert len(clip.audio) == 32000 and np.abs(clip.audio[:7900]).max() < 0.01
    assert np.abs(clip.audio[8100:]).max() == pytest.approx(16000 / 32767, abs=0.01)


def test_meshes_and_a_missing_one(tmp_path):
    write_voca_meshes(tmp_path / "whole")
    write_voca_meshes(tmp_path / "part", missing=20)
    whole, part = (
        made(read_layout("vocaset", tmp_path / name).clips[0], tmp_path / "made") for name in ("whole", "part")
    )
    assert whole.landmarks.shape == part.landmarks.shape == (25, 478, 3)
    # What is missing is interpolated; nothing is shifted.
    assert np.abs(whole.landmarks - part.landmarks).max() < 0.5
    assert np.array_equal(whole.audio, part.audio) and len(whole.audio) == 16000


def test_sound_begins_with_the_first_mesh_that_is_there(tmp_path):
    write_voca_meshes(tmp_path / "voca")
    folder = next((tmp_path / "voca" / "unposedcleaneddata").glob("*/sentence01"))
    for number in range(1, 13):  # 0.2 s
        (folder / f"sentence01.{number:06d}.ply").unlink()
    clip = made(read_layout("vocaset", tmp_path / "voca").clips[0], tmp_path / "made")
    assert len(clip.landmarks) == 20 and len(clip.audio) == 16000 - 3200
    assert np.abs(clip.audio[:4700]).max() < 0.01 < np.abs(clip.audio[4900:5000]).max()


def test_parts_of_the_release_that_are_missing_or_damaged(tmp_path):
    folder = write_voca_arrays(tmp_path / "a")
    content = (folder / "templates.pkl").read_bytes()
    (folder / "templates.pkl").unlink()
    with pytest.raises(InputError, match="lacks templates.pkl of VOCASET"):
        read_layout("vocaset", folder)
    (folder / "templates.pkl").write_bytes(content[:50])
    with pytest.raises(InputError, match="templates.pkl: not a part of VOCASET"):
        read_layout("vocaset", folder)
    (folder / "templates.pkl").write_bytes(content)
    np.save(folder / "data_verts.npy", np.zeros((3, 5023, 3), np.float32))
    with pytest.raises(InputError, match="not VOCASET's training data .*sentence01"):
        made(read_layout("vocaset", folder).clips[0], tmp_path / "made")
    assert not list((tmp_path / "made").iterdir())
    other = write_voca_meshes(tmp_path / "b")
    next((other / "templates").iterdir()).unlink()
    with pytest.raises(InputError, match="lacks audio/SUBJECT/sentenceNN.wav or templates/SUBJECT.ply"):
        read_layout("vocaset", other)


def test_pickles_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    folder = write_voca_arrays(tmp_path / "voca")
    (folder / "raw_audio_fixed.pkl").write_bytes(pickle.dumps({SUBJECTS[0]: Evil()}, protocol=2))
    with pytest.raises(InputError, match="not allowed in a data set"):
        read_layout("vocaset", folder)
    assert not (tmp_path / "pwned").exists()


def changed(folder, name, change):
    """Replace one of the pickles."""
    path = folder / f"{name}.pkl"
    path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), protocol=2))


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "FaceTalk_1_1_TA/..", "", 7])
def test_names_in_the_pickles_never_become_other_paths(tmp_path, name):
    folder = write_voca_arrays(tmp_path / "voca")
    subject = SUBJECTS[0]
    for table in ("subj_seq_to_idx", "raw_audio_fixed"):  # as the name of a subject, and of a sentence
        changed(folder, table, lambda one: {**one, name: one[subject], SUBJECTS[1]: {name: one[subject]["sentence01"]}})
    changed(folder, "templates", lambda one: {**one, name: one[subject]})
    reading = read_layout("vocaset", folder)
    assert [clip.file.as_posix() for clip in reading.clips] == sorted(f"{SUBJECTS[i]}/sentence01.npz" for i in (0, 2))
    assert reading.notes[0].startswith("2 sequences are left out, because their names are not those of VOCASET")


@pytest.mark.parametrize(
    ("table", "content"), [("subj_seq_to_idx", {SUBJECTS[0]: 3}), ("raw_audio_fixed", {SUBJECTS[0]: 7})]
)
def test_pickles_of_another_shape(tmp_path, table, content):
    folder = write_voca_arrays(tmp_path / "voca")
    changed(folder, table, lambda _: content)
    with pytest.raises(InputError, match=rf"{table}.pkl: not a part of VOCASET's .*{SUBJECTS[0]} has no sequences"):
        read_layout("vocaset", folder)


@pytest.mark.parametrize(
    ("frames", "saying"),
    [
        ({0: 0, 10**12: 1}, "1000000000000 is not the number of a frame"),
        ({-1: 0}, "-1 is not the number of a frame"),
        ({0: 10**30}, "names meshes beyond the 360"),
        ({0: -1}, "names meshes beyond the 360"),
        ({}, "no frames"),
        (3, "not VOCASET's training data"),
        ({"x": 1}, "not VOCASET's training data"),
    ],
)
def test_numbers_that_are_damaged(tmp_path, frames, saying):
    folder = write_voca_arrays(tmp_path / "voca")
    changed(folder, "subj_seq_to_idx", lambda one: {SUBJECTS[0]: {"sentence01": frames}})
    with pytest.raises(InputError, match=f"{SUBJECTS[0]}/sentence01.*{saying}|{saying}.*{SUBJECTS[0]}/sentence01"):
        made(read_layout("vocaset", folder).clips[0], tmp_path / "made")


def test_damaged_meshes_are_said_once_and_not_of_every_clip(tmp_path):
    folder = write_voca_arrays(tmp_path / "voca")
    (folder / "data_verts.npy").write_bytes((folder / "data_verts.npy").read_bytes()[:1000])
    with pytest.raises(InputError, match="data_verts.npy: not the meshes of VOCASET"):
        read_layout("vocaset", folder)


def test_a_mesh_with_a_huge_number(tmp_path):
    write_voca_meshes(tmp_path / "voca")
    mesh = next((tmp_path / "voca").rglob("sentence01.000060.ply"))
    mesh.rename(mesh.with_name(f"sentence01.{10**12}.ply"))
    with pytest.raises(InputError, match="sentence01: 1000000000000 is not the number of a frame"):
        made(read_layout("vocaset", tmp_path / "voca").clips[0], tmp_path / "made")
