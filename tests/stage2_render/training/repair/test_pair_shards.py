"""Pairs in shards: the same training as on the folder of pairs, bit for bit where they are stored without loss."""

import pickle
import shutil

import numpy as np
import pytest
import torch
import yaml
from pair_material import LIMITS

pytest.importorskip("pyarrow")

from synthetic_shards import shard  # noqa: E402

from fd2talk.commands.train import train_config  # noqa: E402
from shared.errors import InputError  # noqa: E402
from shared.shards.check import check_file, checksums_of_folder  # noqa: E402
from shared.shards.reader import Shards  # noqa: E402
from stage2_render.training.repair.batch_sampler import BatchSampler, PairsConfig  # noqa: E402
from stage2_render.training.repair.build_pairs import Limits  # noqa: E402
from stage2_render.training.repair.pair_dataset import FILES, Pairs  # noqa: E402
from stage2_render.training.repair.pair_shards import ShardedPairs, open_pairs, packed, pairs_folder, unpacked  # noqa: E402

FACTS = ("reference", "boxes", "face", "person", "kind", "opened", "shut")
SECTION = {name: getattr(LIMITS, name) for name in ("pairs_per_person", "pairs_per_portrait", "portraits")}


def write_config(path, material, **data):
    folders = {"clips": str(material / "clips"), "portraits": str(material / "photos"), "pairs": "unused"}
    values = {
        "model": "repair", "part": "mouth", "data": {**folders, "limits": SECTION, **data},
        "network": {"channels": [8, 8, 16], "blocks": [1, 1, 1], "heads": 2},
        "training": {"output": str(path.parent / path.stem), "max_steps": 2, "batch_size": 4, "precision": "no"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def shards(material, tmp_path_factory):
    """Shards with the pairs of `LIMITS` without loss, of which each file holds one job's."""
    root = tmp_path_factory.mktemp("pairs")
    shutil.copytree(material / "prepared", root / "prepared")
    lines = (root / "prepared" / "index.csv").read_text().splitlines(keepends=True)
    (root / "prepared" / "index.csv").write_text("".join(lines[:-1]))  # without the person that has no files
    config = write_config(root / "repair.yaml", material)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stage2_render.training.repair.pair_shards._TYPICAL_LOSSLESS", 1 << 30)
        shard(str(root / "prepared"), str(root / "shards"), configs=(str(config),), quality=None, tracks=False)
    return root / "shards"


def test_pairs_and_facts_are_those_of_the_set(built, shards):
    whole, sharded = Pairs(built / "train"), open_pairs(shards, LIMITS, built)
    assert isinstance(sharded, ShardedPairs) and len(sharded) == len(whole) > 10
    assert len(list(sharded.folder.glob("pairs-*.parquet"))) == 2
    for name in FACTS:
        one, other = getattr(whole, name), getattr(sharded, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype.kind == other.dtype.kind and one.dtype.itemsize == other.dtype.itemsize, name
    for name in FILES:
        assert sharded.files[name].shape == whole.files[name].shape
        np.testing.assert_array_equal(whole.files[name], sharded.files[name][:], err_msg=name)
        np.testing.assert_array_equal(whole.files[name][[3, 0]], sharded.files[name][np.array([3, 0])])
    for one, other in zip(whole.people(), sharded.people()):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.of_photos(), sharded.of_photos())
    again = pickle.loads(pickle.dumps(sharded))
    np.testing.assert_array_equal(again.files["eye_target"][[5]], whole.files["eye_target"][[5]])
    for network in ("mouth", "eye"):
        batches = [
            BatchSampler(p, network, shut=0.1).draw(torch.Generator().manual_seed(2), 6) for p in (whole, sharded)
        ]
        assert all(torch.equal(value, batches[1][name]) for name, value in batches[0].items())


def test_weights_are_equal_bit_by_bit(built, shards, material, tmp_path):
    states = []
    for name, data in (("set", {"pairs": str(built)}), ("shards", {"prepared": str(shards)})):
        train_config(write_config(tmp_path / f"{name}.yaml", material, **data))
        states.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True))
    for part in ("model", "averaged"):
        assert all(torch.equal(value, states[1][part][key]) for key, value in states[0][part].items())
    assert states[0]["validation"] == states[1]["validation"]


def test_every_file_has_a_checksum(shards):
    folder = pairs_folder(LIMITS, shards)
    found = checksums_of_folder(shards)[folder / "pairs.json"]
    assert set(found) == {path for path in folder.iterdir() if path.name != "pairs.json"}
    assert not [line for path, checksum in found.items() if (line := check_file(path, checksum))]
    assert {path.name for path in shards.glob("*.parquet")} - {"index.parquet"} == set(Shards(shards).checksums) - {
        "portraits.npz"
    }


def test_pairs_of_other_limits_are_not_used(built, shards, tmp_path):
    other = Limits(**{**SECTION, "pairs_per_person": 5})
    with pytest.raises(InputError, match="no pairs of these limits, but such of pairs_per_person 24"):
        open_pairs(shards, other, tmp_path / "nowhere")
    config = PairsConfig(pairs=str(built), prepared=str(shards), clips="", portraits="", limits=other)
    assert not isinstance(config.open(), ShardedPairs)  # pairs that were built before are
    validation = Limits(**SECTION, val_pairs=7)  # of the validation split, which is not trained on
    assert isinstance(open_pairs(shards, validation, tmp_path), ShardedPairs)


def test_quality_costs_little_and_saves_much(built):
    pairs = Pairs(built / "train")
    sizes = {None: 0, 90: 0}
    for name, shape in FILES.items():
        values = pairs.files[name][4]
        for quality in sizes:
            data = packed(name, values, quality)
            sizes[quality] += len(data)
            error = np.abs(unpacked(name)(data).astype(int) - values)
            assert unpacked(name)(data).shape == shape
            assert error.max() == 0 if quality is None or name.endswith("maps") else error.mean() < 4
    assert sizes[90] < 0.5 * sizes[None]


def test_a_damaged_file_is_named(shards, tmp_path):
    sharded = ShardedPairs(pairs_folder(LIMITS, shards))
    path = sorted(sharded.folder.glob("pairs-*.parquet"))[1]
    written = path.read_bytes()
    try:
        path.write_bytes(written + b"more")
        with pytest.raises(InputError, match=f"{path}: damaged: it has {len(written) + 4} bytes"):
            sharded.files["mouth_target"][:]
    finally:
        path.write_bytes(written)
    with pytest.raises(InputError, match="not a set of pairs"):
        ShardedPairs(tmp_path)
