"""Scores over all clips of a row."""

import numpy as np
import pytest

from fd2talk.evaluation.inputs.protocol import Target
from fd2talk.evaluation.inputs.rows import Row
from fd2talk.evaluation.report.summary import _fid, add_sample_scores, summarise, targets
from shared.metrics.fid import frechet_distance
from shared.metrics.lips import best_lag_correlation
from shared.metrics.mesh import dynamics_deviation, lip_vertex_error


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


def test_samples_of_a_clip_are_measured_together(tmp_path):
    """Of the frames that all samples have; the real lips are those beside the samples; one sample tells nothing."""
    random = np.random.default_rng(0)
    curves, real = random.normal(size=(3, 12)), random.normal(size=12)
    records = {"ours": [], "single": []}
    for system, clip, repeats in (("ours", "a", 3), ("ours", "b", 2), ("single", "a", 1)):
        for repeat in range(repeats):
            path = tmp_path / "clips" / system / str(repeat) / f"{clip}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            known = {"aperture_real": real} if clip == "a" else {}  # b has no reference
            np.savez(path, aperture=curves[repeat, : 12 - repeat], **known)
            records[system].append({"system": system, "clip": clip, "repeat": repeat, "values": {}})
    both = ["aperture_mean_correlation", "aperture_seed_correlation"]
    add_sample_scores(records, both, tmp_path)
    first, *others = (record["values"] for record in records["ours"])
    mean = [sum(curves[:, t]) / 3 for t in range(10)]
    assert first[both[0]] == pytest.approx(best_lag_correlation(np.array(mean), real[:10])[0])
    assert first[both[1]] == pytest.approx(np.corrcoef(curves[:, :10])[np.triu_indices(3, 1)].mean())
    assert [sorted(values) for values in others] == [[], [], both[1:], []]
    assert records["single"][0]["values"] == {}


def test_codetalker_s_metrics_are_pooled_as_in_its_evaluation():
    """LVE over the frames of all clips, FDD signed over clips, whoever is in them; ours by person."""
    random, neutral = np.random.default_rng(0), np.zeros((4, 3))
    lips, upper = [1, 3], [0, 2]
    records, errors, deviations, lengths = [], [], [], []
    for person, count, size in (("a", 5, 1.0), ("a", 9, 2.0), ("b", 30, 0.3)):
        real, generated = random.normal(0, 1, (count, 4, 3)), random.normal(0, size, (count, 4, 3))
        values = {
            "lve": lip_vertex_error(generated, real, np.array(lips)),
            "lve_codetalker": lip_vertex_error(generated, real, np.array(lips), squared=True),
            "fdd_codetalker": dynamics_deviation(generated, real, np.array(upper), neutral, neutral, squared=True),
        }
        records.append(
            {"repeat": 0, "person": person, "clip": str(count), "frames": count, "fps": 25, "values": values}
        )
        errors += [max(((g[v] - r[v]) ** 2).sum() for v in lips) for g, r in zip(generated, real)]
        spread = [np.mean([np.std([(f[v] ** 2).sum() for f in moving]) for v in upper]) for moving in (real, generated)]
        deviations.append(spread[0] - spread[1])
        lengths.append(values["lve"])
    scores = summarise(Row("x", "", "folder", []), records, [], [*records[0]["values"]], run=None)["scores"]
    assert scores["lve_codetalker"]["mean"] == pytest.approx(sum(errors) / len(errors))
    assert scores["fdd_codetalker"]["mean"] == pytest.approx(sum(deviations) / 3) and min(deviations) < 0
    assert scores["lve"]["mean"] == pytest.approx(((lengths[0] + lengths[1]) / 2 + lengths[2]) / 2)
    assert all(score["low"] < score["mean"] < score["high"] for score in scores.values())


def test_targets_are_of_values_differences_and_shares():
    def system(**scores):
        return {"scores": {key: {"mean": mean} for key, mean in scores.items()}}

    systems = {"a": system(psnr=25.0, ssim=0.8), "b": system(psnr=20.0), "zero": system(psnr=0.0)}
    wanted = [
        (Target("psnr", "a", at_least=25.0), 25.0, True),
        (Target("psnr", "a", at_most=24.9), 25.0, False),
        (Target("psnr", "a", at_least=5.1, over="b"), 5.0, False),
        (Target("psnr", "b", at_most=-0.19, over="a", share=True), -0.2, True),
        (Target("psnr", "b", at_least=-0.1, over="a", share=True), -0.2, False),
    ]
    found = targets([target for target, _, _ in wanted], systems)
    assert [(entry["value"], entry["met"]) for entry in found] == [
        (pytest.approx(value), met) for _, value, met in wanted
    ]
    unmeasured = [("ssim", "b", ""), ("ssim", "a", "b"), ("psnr", "c", ""), ("psnr", "a", "c")]
    wanted = [Target(metric, name, 0.0, over=over) for metric, name, over in unmeasured]
    found = targets([*wanted, Target("psnr", "a", 0.0, over="zero", share=True)], systems)
    assert [(entry["value"], entry["met"]) for entry in found] == [(None, None)] * 5
