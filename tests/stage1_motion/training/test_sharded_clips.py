"""A training on shards is the training on the folder that they were made of, bit for bit."""

import numpy as np
import pytest
import torch
import yaml

from fd2talk.commands.train import check_training, train_config
from shared.config import Config
from shared.errors import InputError
from shared.prepared import load_motion, read_index
from stage1_motion.dataset import ClipsConfig
from stage1_motion.training import clips as training_clips
from stage1_motion.training.clips import ClipSet, learned_and_development, people_of, sampling_weights

TRAININGS = {
    "lip_expert": {"network": {"width": 8}},
    "fd2talk": {
        "part": "expression_and_pose",
        "network": {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6},
    },
    "diffposetalk": {
        "network": {"width": 16, "heads": 2, "layers": 1, "frames": 12, "context": 4, "lookahead": 0},
        "sampler": {"steps": 1},
        "head": False,
    },
    "diface": {"network": {"width": 8, "speech_width": 8}, "loss": {"frames": 12}, "sampler": {"steps": 1}},
    "facepolicy": {
        "network": {"widths": [8, 16], "size": 16, "kernel": 3},
        "sampler": {"steps": 1},
        "loss": {"smoothing": 1.0},
    },
}


@pytest.fixture(scope="module")
def clips(folders):
    """Clips of the folder, in memory, and of the shards."""
    return [ClipsConfig(prepared=str(f), cache=str(folders[2].parent / "cache")).load("train") for f in folders[:2]]


def test_clips_are_equal_bit_by_bit(clips):
    (here, space), (there, other) = clips
    assert isinstance(there, ClipSet) and not isinstance(here, ClipSet) and len(here) == len(there)
    np.testing.assert_array_equal(space.expression_std, other.expression_std)
    np.testing.assert_array_equal(space.pose_std, other.pose_std)
    at = np.minimum(np.arange(90, 110), 95)
    for one, two in zip(here, there):
        assert (one.name, one.person, one.lip_std, one.head_std) == (two.name, two.person, two.lip_std, two.head_std)
        assert len(one.speech) == len(two.speech) and one.speech.shape == two.speech.shape
        for name in ("speech", "expression", "pose"):
            values = getattr(one, name)
            np.testing.assert_array_equal(values, np.asarray(getattr(two, name)), err_msg=name)
            np.testing.assert_array_equal(values[at], getattr(two, name)[at])
            np.testing.assert_array_equal(values[3:9], getattr(two, name)[3:9])
        np.testing.assert_array_equal(one.unscaled(space), np.asarray(two.unscaled(other)))
        np.testing.assert_array_equal(one.identity, two.identity)
        np.testing.assert_array_equal(one.motion.audio, two.motion.audio)


def test_sampling_is_the_same(clips):
    parts = [learned_and_development(of) for of, _ in clips]
    assert [clip.name for clip in parts[0][0]] == [clip.name for clip in parts[1][0]]
    assert [clip.name for clip in parts[0][1]] == [clip.name for clip in parts[1][1]] != []
    assert people_of(parts[0][0]) == people_of(parts[1][0])
    np.testing.assert_array_equal(*(sampling_weights(learned) for learned, _ in parts))
    assert len(learned_and_development(clips[1][0], 1000)[0]) == 0
    with pytest.raises(IndexError):
        clips[1][0][len(clips[0][0])]
    assert clips[1][0][-1].name == clips[0][0][-1].name


def test_only_some_development_clips_of_thousands_are_used(clips, monkeypatch):
    whole = learned_and_development(clips[1][0])[1]
    monkeypatch.setattr(training_clips, "_DEVELOPMENT_CLIPS", 1)
    for of, _ in clips:
        assert [clip.name for clip in learned_and_development(of)[1]] == [whole[0].name]


def test_frames_are_read_where_they_are_asked_for(clips, monkeypatch):
    there = clips[1][0]
    asked = []
    read = there.shards.read
    monkeypatch.setattr(there.shards, "read", lambda *a: asked.append(a) or read(*a))
    there[2].expression[np.arange(10, 20)]
    assert [a[2:] for a in asked] == [(10, 20)]


@pytest.mark.parametrize("name", TRAININGS)
def test_weights_are_equal_bit_by_bit(folders, tmp_path, name):
    prepared, shards, config = folders
    common = {key: value for key, value in yaml.safe_load(config.read_text()).items() if key in ("training", "cache")}
    states = []
    for source in (prepared, shards):
        own = tmp_path / f"{source.name}.yaml"
        output = str(tmp_path / source.name)
        values = {**common, "model": name, "prepared": str(source), **TRAININGS[name]}
        values["training"] = {**common["training"], "output": output, "max_steps": 3}
        own.write_text(yaml.safe_dump(values))
        train_config(own)
        states.append(torch.load(tmp_path / source.name / "checkpoint.pt", weights_only=True))
    for part in ("model", "averaged"):
        assert all(torch.equal(value, states[1][part][key]) for key, value in states[0][part].items())
    assert states[0]["validation"] == states[1]["validation"]


def test_whole_motions_can_be_read_too(folders):
    prepared, shards, _ = folders
    assert [dict(row) for row in read_index(prepared)] == read_index(shards)
    one, other = (load_motion(folder, "person_3") for folder in (prepared, shards))
    np.testing.assert_array_equal(one.expression, other.expression)
    with pytest.raises(InputError, match="the motions belong to face model"):
        load_motion(shards, "person_3", face_model="another")


def test_what_is_lacking_is_said(folders, tmp_path):
    prepared, shards, config = folders
    detector = tmp_path / "detector"
    detector.write_bytes(b"another")
    with pytest.raises(InputError, match="fd2talk shard PREPARED .* --for CONFIG"):
        ClipsConfig(prepared=str(shards), speech_events=str(detector)).load("train")
    with pytest.raises(InputError, match="no clips of split test"):
        ClipsConfig(prepared=str(shards)).load("test")
    with pytest.raises(InputError, match="leaves nobody"):
        ClipsConfig(prepared=str(shards), people=0.0).load("train")
    assert check_training(Config.load(config)).config.prepared == str(prepared)
