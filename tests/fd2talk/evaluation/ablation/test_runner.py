"""The ablation's runner: it trains what its file defines, resumes, and writes the paper's tables."""

import json

import pytest
import yaml

from fd2talk.evaluation.ablation.file import Column, read_ablation
from fd2talk.evaluation.ablation.runner import assemble, run_ablation, train_part
from shared.checkpoint import read_header
from shared.errors import UsageError
from shared.weights import bundled
from stage1_motion.models.fd2talk.model import KIND
from stage1_motion.pipeline import MotionPipeline


class Stub:
    """Measures .5 and .7 for the seeds of the full model, .2 less for the other variant, and never LSE-C."""

    def __init__(self):
        self.calls = []

    def __call__(self, variant, weights, columns):
        product, alone = Column("aperture_correlation"), Column("aperture_correlation", "bundled-network")
        assert set(columns) == {Column("lse_c"), Column("syncnet_confidence"), product, alone}
        seed = int(weights.name)
        self.calls.append((variant.title, seed))
        single = (weights / "expression_and_pose.safetensors").exists()
        value = 0.5 + 0.2 * seed - (0.2 if single else 0.0)
        return {product: value, alone: value / 2}


def test_it_trains_measures_and_writes_the_table(config, tmp_path):
    measure, output = Stub(), tmp_path / "report"
    run_ablation(config, output, measure)
    assert measure.calls == [("Full", 0), ("Single", 0), ("Full", 1), ("Single", 1)]
    runs = tmp_path / "runs"
    weights = {}
    for name in ("expression", "pose", "joint"):
        for seed in (0, 1):
            own = yaml.safe_load((runs / name / str(seed) / "config.yaml").read_text())
            assert own["training"]["seed"] == seed and own["training"]["max_steps"] == 1
            (file,) = (runs / name / str(seed) / "best").iterdir()
            weights[name, seed] = file.read_bytes()
    assert weights["pose", 0] != weights["pose", 1]
    single = MotionPipeline.from_pretrained(runs / "weights/single/1")
    assert len(single.model.parts) == 1
    assert len(MotionPipeline.from_pretrained(runs / "weights/full/1").model.parts) == 2

    text = (output / "ablation.md").read_text()
    assert "| Full | not measured | not measured | 0.600 ± 0.141 |" in text
    assert "| Single | not measured | not measured | 0.400 ± 0.141 |" in text
    assert "| *published: Full (FD2Talk)* | *7.31* | *6.26* |  |" in text
    assert "| *published: w/o alignment* | *4.66* | *3.97* |  |" in text
    assert "| Single | **-0.2000 (-0.2000 to -0.2000)** |" in text
    report = json.loads((output / "ablation.json").read_text())
    assert report["variants"]["single"]["values"]["1"] == {
        "aperture_correlation": pytest.approx(0.5),
        "aperture_correlation@bundled-network": pytest.approx(0.25),
    }
    alone = text.index("**Network alone**")
    assert "| Full | 0.300 ± 0.071 |" in text[alone:] and "published" not in text[alone:]
    assert report["tables"][0]["published"]["rows"] == {
        "Full (FD2Talk)": ["7.31", "6.26"],
        "w/o alignment": ["4.66", "3.97"],
    }
    assert report["steps"] == {"expression": 1, "pose": 1, "joint": 1}

    with pytest.raises(UsageError, match="already exists"):
        run_ablation(config, output, measure)
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("checkpoint.pt")}
    run_ablation(config, output, measure, overwrite=True)
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("checkpoint.pt")}  # nothing trained again
    assert (output / "ablation.md").read_text() == text


def test_a_stopped_training_resumes_and_other_settings_start_again(config, tmp_path, capsys):
    best = train_part(read_ablation(config), "pose", 0)
    old = best.joinpath("pose.safetensors").read_bytes()
    best.parent.joinpath("finished").unlink()  # as if it had been stopped
    train_part(read_ablation(config), "pose", 0)
    assert best.joinpath("pose.safetensors").read_bytes() == old
    content = yaml.safe_load(config.read_text())
    content["trainings"]["pose"]["changes"]["network"] = {"alignment": None}
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    capsys.readouterr()
    train_part(read_ablation(config), "pose", 0)
    assert "pose, seed 0" in capsys.readouterr().out
    assert read_header(best / "pose.safetensors", KIND)["config"]["alignment"] is None


@pytest.mark.parametrize(("training", "other"), [("expression", "pose"), ("pose", "expression")])
def test_a_variant_takes_the_part_that_it_does_not_train_from_the_bundled_weights(config, tmp_path, training, other):
    read = yaml.safe_load(config.read_text())
    read["variants"] = {"half": {"title": "Half", "trainings": [training]}}
    read["tables"] = [{"title": "T", "columns": ["aperture_spread"]}]
    config.write_text(yaml.safe_dump(read))
    ablation = read_ablation(config)
    train_part(ablation, training, 0)
    weights = assemble(ablation, "half", 0)
    name = f"{other}.safetensors"
    assert (weights / name).read_bytes() == (bundled("fd2talk") / name).read_bytes()
    own = f"{training}.safetensors"
    assert (weights / own).read_bytes() == (tmp_path / "runs" / training / "0" / "best" / own).read_bytes()
    assert len(MotionPipeline.from_pretrained(weights).model.parts) == 2
