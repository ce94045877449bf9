"""Trainings that are not on windows of features: from shards they are those on the folder, bit for bit."""

import numpy as np
import pytest
import torch
import yaml
from synthetic_talkers import write_talkers

pytest.importorskip("pyarrow")

from fd2talk.commands.train import check_training, train_config  # noqa: E402
from shared.checkpoint import load_checkpoint  # noqa: E402
from shared.config import Config  # noqa: E402
from shared.errors import InputError  # noqa: E402
from shared.motion import Motion  # noqa: E402
from shared.shards.reader import Shards  # noqa: E402
from shared.speech.encoder import SpeechEncoder  # noqa: E402
from shared.training import batches  # noqa: E402
from stage1_motion import speech_events_training  # noqa: E402
from stage1_motion.models.ridge import model as ridge_model  # noqa: E402
from stage1_motion.speech_events import Probe, SpeechEventDetector  # noqa: E402
from stage1_motion.speech_events_training import _filmed_lips, _talking_people  # noqa: E402
from stage1_motion.style.training import unscaled_people  # noqa: E402
from stage1_motion.training.clips import by_person, spread  # noqa: E402
from stage1_motion.training.sharded_people import ShardedPeople  # noqa: E402

TRAINING = {"max_steps": 2, "batch_size": 4, "precision": "no", "validate_every": 1000, "threads": 1}
STYLE = {"model": "style_encoder", "network": {"size": 16, "layers": 1, "heads": 2, "frames": 20, "shortest": 12}}
SPEECH = {
    "model": "diffposetalk",
    "train_speech_encoder": True,
    "network": {"width": 16, "heads": 2, "layers": 1, "frames": 8, "context": 4, "lookahead": 0},
    "sampler": {"steps": 1},
    "head": False,
}


@pytest.fixture(scope="module")
def talkers(tmp_path_factory):
    """A prepared folder, and its shards, of which each holds few clips."""
    from synthetic_shards import shard

    root = tmp_path_factory.mktemp("talkers")
    prepared = write_talkers(root / "prepared")
    shard(str(prepared), str(root / "shards"), size=1, tracks=False)
    assert len(Shards(root / "shards").checksums) > 3
    return prepared, root / "shards"


def task_on(folder, tmp_path, **values):
    """Settings of a training, checked, and its task."""
    path = tmp_path / f"{folder.name}.yaml"
    training = {**TRAINING, "output": str(tmp_path / folder.name)}
    path.write_text(yaml.safe_dump({"prepared": str(folder), "training": training, **values}))
    checked = check_training(Config.load(path))
    torch.manual_seed(0)
    return path, checked.module.build_task(checked.config)


def check_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name


@pytest.mark.parametrize("settings", [STYLE, SPEECH], ids=["style encoder", "speech encoder"])
def test_weights_are_equal_bit_by_bit(talkers, tmp_path, settings):
    states = []
    for folder in talkers:
        path, _ = task_on(folder, tmp_path, **settings)
        train_config(path)
        states.append(torch.load(tmp_path / folder.name / "checkpoint.pt", weights_only=True))
    for part in ("model", "averaged"):
        check_equal(states[0][part], states[1][part])
    assert states[0]["validation"] == states[1]["validation"]


@pytest.mark.parametrize("settings", [STYLE, SPEECH], ids=["style encoder", "speech encoder"])
def test_batches_are_equal_and_a_process_reads_its_own_rows(talkers, tmp_path, monkeypatch, settings):
    tasks = [task_on(folder, tmp_path, **settings)[1] for folder in talkers]
    whole = [task.batch(torch.Generator().manual_seed(3), 4) for task in tasks]
    check_equal(*whole)
    read, asked = Shards.read, []
    monkeypatch.setattr(Shards, "read", lambda self, clip, part, *at: asked.append(clip) or read(self, clip, part, *at))
    tasks[1].batch(torch.Generator().manual_seed(3), 4)
    every, asked[:] = len(asked), []
    monkeypatch.setattr(batches, "_own", batches.ContextVar("own", default=slice(1, None, 2)))
    for task in tasks:
        share = task.batch(torch.Generator().manual_seed(3), 4)
        check_equal(*({name: values[1::2] for name, values in of.items()} for of in (whole[0], share)))
    assert 0 < len(asked) < every


def test_people_and_their_order_are_those_of_the_folder(talkers):
    (here, space), (there, other) = (unscaled_people(folder, "train") for folder in talkers)
    np.testing.assert_array_equal(space.expression_std, other.expression_std)
    np.testing.assert_array_equal(space.pose_std, other.pose_std)
    assert isinstance(there, ShardedPeople) and list(here) == list(there) and len(there) == 18
    for person, clips in here.items():
        assert [len(clip) for clip in clips] == [len(clip) for clip in there[person]]
        for one, two in zip(clips, there[person]):
            np.testing.assert_array_equal(one, np.asarray(two))
            np.testing.assert_array_equal(one[3:9], two[3:9])
    long = there.at_least(90)  # person_18's first clip is long enough: the order stays that of all clips
    assert list(long) == list(here) and all(len(clip) >= 90 for clips in long.values() for clip in clips)
    assert len(there.at_least(1000)) == 0
    with pytest.raises(InputError, match="no clips of split test"):
        unscaled_people(talkers[1], "test")


def test_ridge_regression_is_the_same(talkers, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(ridge_model.Ridge, "save", lambda self, folder, **figures: saved.append((self, figures)))
    loaded = []
    monkeypatch.setattr(
        Motion, "load", classmethod(lambda cls, path, **more: loaded.append(path) or load(path, **more))
    )
    figures = []
    for folder in talkers:
        loaded.clear()
        path = tmp_path / f"{folder.name}.yaml"
        path.write_text(yaml.safe_dump({"model": "ridge", "prepared": str(folder), "output": str(tmp_path / "run")}))
        figures.append(train_config(path)["validation"])
    assert figures[0] == figures[1] and not loaded
    (one, penalties), (two, same) = saved
    assert penalties == same
    check_equal(one.linear.state_dict(), two.linear.state_dict())


load = Motion.load


class Loudness:
    """In the place of a speech encoder: how loud a frame is, and a constant."""

    size = 2

    def __call__(self, audio):
        loud = np.abs(audio[: len(audio) // 640 * 640]).reshape(-1, 640).mean(1)
        return np.stack([loud, np.ones_like(loud)], axis=1).astype(np.float32)


@pytest.fixture
def detector():
    always = Probe(np.zeros(6, np.float32), 1.0)
    return SpeechEventDetector({"speaks": always, "bilabial": always, "closed": always})


def test_filmed_lips_are_the_same(talkers, detector):
    found = [_filmed_lips(Loudness(), detector, _talking_people(str(folder), 0)) for folder in talkers]
    for one, two in zip(*found):
        np.testing.assert_array_equal(one, two)
    features, closed = found[0]
    assert len(features) > 1500 and 0 < closed.mean() < 1
    # Mouths are open as far as people are loud.
    assert features[closed > 0, 2].mean() < 0.5 * features[closed == 0, 2].mean()


def test_of_many_clips_whole_people_are_learned_from(talkers):
    here, there = ([[m.expression for m in of] for of in _talking_people(str(folder), 12)] for folder in talkers)
    assert len(here) == len(there) == 6  # of 18 people with 39 clips that are heard
    for one, two in zip(here, there):
        assert len(one) == len(two) > 0
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a, b)


def test_the_detector_learned_from_shards_is_the_same(talkers, tmp_path, monkeypatch):
    """Sentences, which are no part of the prepared folder, are made up."""
    monkeypatch.setattr(SpeechEncoder, "from_pretrained", classmethod(lambda cls, *_, **__: Loudness()))
    monkeypatch.setattr(speech_events_training.Config, "load", lambda self, split, teach: [])

    def sentences(encoder, recordings, generator):
        features = np.random.default_rng(1).normal(size=(400, 6)).astype(np.float32)
        return features, np.stack([features[:, 2] > 0, features[:, 3] > 0.5], axis=1).astype(np.float32)

    monkeypatch.setattr(speech_events_training, "_examples", sentences)
    weights = []
    for folder in talkers:
        output = tmp_path / folder.name
        config = speech_events_training.Config(prepared=str(folder), output=str(output), data="", models="")
        assert speech_events_training.run(config)["validation"]["speaks: found"] > 0.9
        weights.append(load_checkpoint(output / "speech_events.safetensors", "speech event detector")[0])
    check_equal(*weights)


def test_features_are_not_stored_for_those_who_train_the_encoder(talkers, tmp_path):
    path, _ = task_on(talkers[0], tmp_path, **SPEECH)
    assert not check_training(Config.load(path)).config.needs_features
    plain = {**SPEECH, "train_speech_encoder": False}
    assert check_training(Config.load(task_path(tmp_path, plain))).config.needs_features


def task_path(tmp_path, values):
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump({**values, "training": {**TRAINING, "output": "run"}}))
    return path


def test_groups_and_spread():
    groups = by_person(["b", "a", "b", "c", "a"])
    assert [group.tolist() for group in groups] == [[0, 2], [1, 4], [3]]
    assert by_person(np.array([], int)) == []
    assert spread(5, 3) == [0, 2, 4] and spread(3, 9) == [0, 1, 2] and spread(0) == [] and len(spread(1000)) == 400
