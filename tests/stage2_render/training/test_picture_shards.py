"""Frames in shards: the same training as on the frames, bit for bit where they are stored without loss."""

import pickle

import numpy as np
import pytest
import torch
import yaml
from synthetic_clip import write_clip
from synthetic_frames import NETWORK
from synthetic_shards import shard, write_shards

pytest.importorskip("pyarrow")

from fd2talk.commands.train import train_config  # noqa: E402
from shared.errors import InputError  # noqa: E402
from shared.shards.rows import decode, encode  # noqa: E402
from stage2_render.training.frame_set import FramesConfig, FrameSet  # noqa: E402
from stage2_render.training.picture_shards import ShardedFrameSet, open_pictures  # noqa: E402

FACTS = ("person", "take", "time", "coefficients", "boxes", "aperture", "mirror")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_shards(root)
    return root


def frames_config(root, **changes):
    return FramesConfig(
        **{"frames": str(root / "unused"), "clips": "none", "prepared": str(root / "shards"), **changes}
    )


def test_frames_and_facts_are_those_of_the_set(root):
    whole, sharded = FrameSet(root / "frames"), frames_config(root).open()
    assert isinstance(sharded, ShardedFrameSet) and len(sharded) == len(whole) == 60
    for name in FACTS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(sharded, name), err_msg=name)
    for row in range(60):
        np.testing.assert_array_equal(whole.frames[row, 3:200, 5:90], sharded.frames[row, 3:200, 5:90])
    np.testing.assert_array_equal(whole.frames[[3, 40]], sharded.frames[[3, 40]])
    for one, other in zip(whole.people(), sharded.people()):
        np.testing.assert_array_equal(one, other)
    again = pickle.loads(pickle.dumps(sharded))
    np.testing.assert_array_equal(again.frames[59], whole.frames[59])


def test_weights_are_equal_bit_by_bit(root, tmp_path):
    states = []
    for name, data in (
        ("set", {"frames": str(root / "frames"), "clips": "none"}),
        ("shards", {"frames": str(root / "unused"), "clips": "none", "prepared": str(root / "shards")}),
    ):
        config = {
            "model": "autoencoder", "data": data, "network": NETWORK,
            "training": {"output": str(tmp_path / name), "max_steps": 2, "batch_size": 2, "precision": "no"},
        }  # fmt: skip
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
        train_config(tmp_path / f"{name}.yaml")
        states.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True))
    assert all(torch.equal(value, states[1]["model"][key]) for key, value in states[0]["model"].items())
    assert states[0]["validation"] == states[1]["validation"]


def test_quality_costs_little_and_saves_much():
    x = np.linspace(0, 255, 256)
    image = np.stack([np.add.outer(x, x) / 2, np.tile(x, (256, 1)), np.full((256, 256), 90)], -1).astype(np.uint8)
    exact, small = encode(image, None), encode(image, 90)
    np.testing.assert_array_equal(decode(exact), image)
    assert np.abs(decode(small).astype(int) - image).mean() < 3
    assert len(small) < image.size / 20


def test_frames_of_other_settings_are_not_used(root):
    with pytest.raises(InputError, match="no frames of these settings, but such of frames_per_person 64"):
        frames_config(root, frames_per_person=32).open()
    # Frames that were collected before are.
    assert open_pictures(frames_config(root, frames_per_person=32, frames=str(root / "frames"))) is None
    assert not isinstance(frames_config(root, min_face=91, frames=str(root / "frames")).open(), ShardedFrameSet)


def test_the_command_stores_the_frames_that_a_training_collects(tmp_path):
    root = write_clip(tmp_path)
    data = {"frames": str(root / "set"), "clips": str(root / "clips"), "frames_per_person": 12}
    config = root / "autoencoder.yaml"
    training = {"output": str(root / "run"), "max_steps": 1}
    config.write_text(yaml.safe_dump({"model": "autoencoder", "data": data, "training": training}))
    shard(str(root / "prepared"), str(root / "shards"), configs=(str(config),), quality=None)
    collected = FramesConfig(**data, prepared=str(root / "prepared")).open()
    sharded = FramesConfig(**{**data, "frames": "none"}, prepared=str(root / "shards")).open()
    assert isinstance(sharded, ShardedFrameSet) and len(sharded) == 12
    for name in FACTS:
        np.testing.assert_array_equal(getattr(collected, name), getattr(sharded, name), err_msg=name)
    np.testing.assert_array_equal(collected.frames, sharded.frames[:])
    # Without its frames, the shards are a prepared folder from which they can be collected.
    other = FramesConfig(
        **{**data, "frames": str(root / "again"), "frames_per_person": 12}, prepared=str(root / "shards")
    )
    for file in sharded.folder.iterdir():
        file.unlink()
    sharded.folder.rmdir()
    np.testing.assert_array_equal(other.open().frames, collected.frames)
