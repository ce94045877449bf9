"""Which clips the face model is learned from, and how many frames of them."""

import csv

import numpy as np
import pytest
from synthetic_prepared import write_prepared

from shared.errors import InputError
from shared.face_model.training.sample import EVERY, RUN, Tracks, chosen, evenly
from shared.face_model.training.task import Config, run
from shared.faces.crop import Crop
from shared.tracking import Track


def tracks_of(people, frames):
    """Clips of these people; a point's x is the number of its frame."""

    def read(clip):
        landmarks = np.zeros((frames[clip], 478, 3), np.float32)
        landmarks[..., 0] = np.arange(frames[clip])[:, None]
        seen = np.ones(frames[clip], np.float32)
        seen[: frames[clip] // 10] = 0  # no face yet
        return Track(landmarks, seen, Crop(0.0, 0.0, 2.0))

    return Tracks(np.array(people), np.array(frames), read)


def test_a_few_hours_are_learned_from_as_a_whole():
    tracks = tracks_of([3, 3, 0, 1], [75, 301, 12, 40])
    clips, run_length = chosen(tracks, most=38 + 151 + 6 + 20)
    assert clips.tolist() == [0, 1, 2, 3] and run_length is None
    assert chosen(tracks, most=38 + 151 + 6 + 20 - 1)[1] == RUN
    assert tracks.points(1)[:, 0, 0].tolist() == [*range(30, 301)]


def test_of_more_everybody_is_sampled_alike():
    """Nobody has a second clip before everybody has one, and the limit holds."""
    people = np.repeat(np.arange(40), np.tile([1, 2, 30, 7], 10))
    tracks = tracks_of(people, np.full(len(people), 500))
    for most, least, largest in ((80 * RUN, 1, 3), (20 * RUN, 0, 1)):
        clips, run_length = chosen(tracks, most)
        assert run_length == RUN and len(clips) == most // RUN and (np.diff(clips) > 0).all()
        counts = np.bincount(people[clips], minlength=40)
        assert counts.max() <= largest and (counts >= np.minimum(least, np.bincount(people))).all()
    firsts = [chosen(tracks, 20 * RUN, seed)[0] for seed in (0, 0, 1)]
    assert np.array_equal(firsts[0], firsts[1]) and not np.array_equal(firsts[0], firsts[2])
    assert 10 < len(set(people[firsts[0]]) - set(range(10))) < 20  # from all over the list


def test_a_run_follows_without_a_gap_and_begins_anywhere():
    tracks = tracks_of(np.arange(30), np.full(30, 500))
    starts = set()
    for clip in range(30):
        numbers = tracks.points(clip, RUN)[:, 0, 0]
        assert len(numbers) == EVERY * RUN and (np.diff(numbers) == 1).all() and numbers[0] >= 50
        assert np.array_equal(numbers, tracks.points(clip, RUN)[:, 0, 0])
        starts.add(int(numbers[0]))
    assert len(starts) > 20 and max(starts) > 300
    assert len(tracks_of([0], [80]).points(0, RUN)) == 72


def test_held_out_clips_are_spread_evenly():
    assert evenly(5, 7).tolist() == [0, 1, 2, 3, 4] and evenly(9, 3).tolist() == [0, 4, 8] and not len(evenly(0, 3))


def test_a_sample_is_trained_on_and_said(tmp_path, monkeypatch):
    """As of thousands of hours: what is in memory is within the limit, and the card tells."""
    prepared = write_prepared(tmp_path / "prepared", people=8)
    with open(prepared / "index.csv", newline="") as file:
        rows = [row | {"frames": "30"} for row in csv.DictReader(file)]
    with open(prepared / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    sizes = {"prepared": str(prepared), "num_identity": 4, "num_expression": 3}
    whole = run(Config(output=str(tmp_path / "whole"), **sizes))
    monkeypatch.setattr("shared.face_model.training.sample.RUN", 10)
    monkeypatch.setattr("shared.face_model.training.task.chosen", lambda tracks: chosen(tracks, 45))
    part = run(Config(output=str(tmp_path / "part"), **sizes))
    cards = [(tmp_path / name / "best" / "README.md").read_text() for name in ("whole", "part")]
    assert "90 frames of 6 people" in cards[0] and "No randomness is involved" in cards[0]
    assert "40 frames of 4 people" in cards[1] and "a sample with a fixed seed" in cards[1]
    residuals = [found["validation"]["lip residual of val clips, mm"] for found in (whole, part)]
    assert residuals[0] <= residuals[1] < 3 * residuals[0]


def test_shards_without_tracks_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    from synthetic_shards import shard

    prepared = write_prepared(tmp_path / "prepared", people=3)
    shard(str(prepared), str(tmp_path / "shards"), tracks=False)
    with pytest.raises(InputError, match="the shards have no tracks"):
        Tracks.of(tmp_path / "shards", "train")
    shard(str(prepared), str(tmp_path / "with"))
    for split in ("train", "val"):
        ours, theirs = (Tracks.of(folder, split) for folder in (tmp_path / "with", prepared))
        assert len(ours.person) == len(theirs.person) > 0 and ours.frames.tolist() == [30] * len(ours.person)
        assert all(np.array_equal(ours.points(clip), theirs.points(clip)) for clip in range(len(ours.person)))
