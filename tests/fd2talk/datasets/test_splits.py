"""Splits by speaker, and readers that know two of the three."""

import csv
from collections import Counter

import numpy as np
import pytest
from synthetic_prepared import write_prepared

from fd2talk.datasets.names import SHARES
from fd2talk.datasets.splits import split_people
from shared.face_model.training.sample import Tracks
from stage1_motion.dataset import load_clips
from stage1_motion.style.training import unscaled_people
from stage2_render.training.repair.build_pairs import Limits, _people
from stage2_render.training.repair.portrait_pairs import _training_motions


def counts(people, shares):
    return [Counter(split_people(people, shares).values())[name] for name in ("train", "val", "test")]


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [
        (100, "fd2talk", [70, 10, 20]),
        (362, "fd2talk", [254, 36, 72]),  # 253.4, 36.2, 72.4: of two equal remainders the first
        (588, "diffposetalk", [460, 64, 64]),
        (12, "vocaset", [8, 2, 2]),
        (562, "diffposetalk", [440, 61, 61]),  # 439.7, 61.2, 61.2
        (3, "fd2talk", [2, 0, 1]),  # 2.1, .3, .6
        (1, "vocaset", [1, 0, 0]),
        (0, "vocaset", [0, 0, 0]),
    ],
)
def test_papers_counts_exactly_or_by_the_largest_remainder(number, name, expected):
    assert counts([f"person {i}" for i in range(number)], SHARES[name]) == expected


def test_the_draw_depends_on_names_and_seed_alone():
    people = [f"id{i:05d}" for i in range(50)]
    one = split_people(people, (70, 10, 20), 7)
    assert one == split_people([*reversed(people), people[3]], (70, 10, 20), 7)
    others = [split_people(people, (70, 10, 20), seed) for seed in range(20)]
    assert len({tuple(sorted(p for p in people if split[p] == "test")) for split in others}) == 20
    # Every person has the same chance: about a fifth of the draws.
    shares = np.mean([[split[p] == "test" for p in people] for split in others], axis=0)
    assert shares.mean() == pytest.approx(0.2) and shares.max() < 0.6
    # By `echo -n "0 a" | sha256sum` and so on: the order is ebacd.
    split = split_people("abcde", (3, 1, 1))
    assert [split[person] for person in "ebacd"] == ["train", "train", "train", "val", "test"]


def test_readers_pass_over_the_third_split(tmp_path):
    """A clip of split test is in the index, but its files are not there: who opened them would fail."""
    prepared = write_prepared(tmp_path / "prepared", people=6)
    with open(prepared / "index.csv", newline="") as file:
        rows = [row | {"face_px": "200"} for row in csv.DictReader(file)]
    rows[0]["split"] = "test"
    for folder in ("motions", "tracks"):
        (prepared / folder / f"{rows[0]['name']}.npz").unlink()
    with open(prepared / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    def speech(_, motion):
        return np.random.default_rng(0).normal(size=(len(motion), 4)), np.ones(len(motion))

    from shared.face_model import load_bundled

    seen = {
        split: {c.person for c in load_clips(prepared, load_bundled(), speech, split=split)[0]}
        for split in ("train", "val")
    }
    assert seen == {"train": {"person_1", "person_2", "person_3"}, "val": {"person_4", "person_5"}}
    assert set(unscaled_people(prepared, "train")[0]) == seen["train"]
    tracks = [Tracks.of(prepared, split) for split in ("train", "val")]
    assert [len([of.points(clip) for clip in range(len(of.person))]) for of in tracks] == [3, 2]
    assert {split: set(found) for split, found in _people(prepared, Limits()).items()} == seen
    assert not any(name.startswith("person_0") for name in _training_motions(prepared))
