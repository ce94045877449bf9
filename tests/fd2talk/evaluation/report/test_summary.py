"""Scores over all clips of a row."""

import numpy as np
import pytest

from fd2talk.evaluation.report.summary import _fid
from shared.metrics.fid import frechet_distance


@pytest.fixture
def record(tmp_path):
    """A clip's record, with its features in the report's folder."""

    def write(system, clip, features, repeat=0):
        path = tmp_path / "clips" / system / str(repeat) / f"{clip}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, inception=features)
        return {"system": system, "clip": clip, "repeat": repeat}

    return write


def test_fid_is_of_the_same_times_of_the_same_clips(record, tmp_path):
    features = np.random.default_rng(0).normal(size=(4, 9, 3))
    generated = [record("ours", "a", features[0]), record("ours", "b", features[1, :5])]  # b is shorter
    real = [record("real", clip, features[2 + i]) for i, clip in enumerate("ab")] + [
        record("real", "c", 9 + features[0])
    ]
    expected = frechet_distance(
        np.concatenate([features[0], features[1, :5]]), np.concatenate([features[2], features[3, :5]])
    )
    assert _fid(generated, real, tmp_path)["mean"] == pytest.approx(expected)


def test_a_single_frame_has_no_fid(record, tmp_path):
    one = np.zeros((1, 3))
    assert _fid([record("ours", "a", one)], [record("real", "a", one)], tmp_path) is None
