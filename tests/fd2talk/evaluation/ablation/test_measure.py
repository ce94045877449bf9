"""An ablation's variants are measured by `fd2talk evaluate`."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from fd2talk.evaluation.ablation.file import UNSEEN_EXPERT, Column, Measured, Variant
from fd2talk.evaluation.ablation.measure import VariantMeasure
from fd2talk.evaluation.metrics import clip_metrics
from shared.weights import bundled


def test_motion_images_and_what_is_not_available(real, tmp_path, monkeypatch, capsys):
    weights = tmp_path / "weights" / "full" / "0"
    shutil.copytree(bundled("fd2talk"), weights)
    shutil.copy(weights / "lip_expert.safetensors", weights / UNSEEN_EXPERT)
    monkeypatch.delenv("FD2TALK_MODELS", raising=False)
    judged = []

    def scores(motions, speech, name, expert):  # the clips are too short for the experts
        judged.append((name, expert is not None))
        return {f"{name}_confidence": 0.25}

    monkeypatch.setattr(clip_metrics, "_lip_expert_scores", scores)
    ablation = SimpleNamespace(
        measured=Measured(str(real), repeats=2, frames=3, min_face=1), protocol=SimpleNamespace(split="val")
    )
    texts = ["aperture_correlation", "aperture_seed_correlation", "expression_diversity", "unseen_expert_confidence"]
    columns = [Column.parse(text) for text in (*texts, "psnr", "psnr@driven", "psnr@driven-diffusion", "lse_c", "fid")]
    columns.append(Column("aperture_correlation", "bundled-network"))
    variant = Variant("Full", (), {"steps": 2})
    rendered = []

    from stage2_render.pipeline import RenderPipeline

    render = RenderPipeline.__call__

    def noted(self, photo, motion, **options):
        rendered.append((len(motion), options.get("steps")))
        return render(self, photo, motion, **options)

    monkeypatch.setattr(RenderPipeline, "__call__", noted)
    found = VariantMeasure(ablation, tmp_path / "measured")(variant, weights, columns)
    assert {str(column) for column in found} == {
        *texts, "psnr", "psnr@driven", "psnr@driven-diffusion", "aperture_correlation@bundled-network"
    }  # fmt: skip
    assert found[Column("psnr", "driven")] > found[Column("psnr")] > 10
    assert -1 <= found[Column("aperture_seed_correlation")] < 1 and found[Column("expression_diversity")] > 0
    assert ("unseen_expert", True) in judged and ("lip_expert", False) not in judged
    assert set(rendered) == {(3, None), (3, 2)}  # three frames of each clip, those of `diffusion` in two steps
    said = capsys.readouterr()
    assert "syncnet_v2.model" in said.out + said.err  # what is missing is named
    assert not list(Path(tmp_path / "measured").glob("full/0/videos"))


def test_motion_is_measured_on_some_clips_of_each_person_in_several_samples(monkeypatch, tmp_path):
    asked = []

    def evaluated(systems, output, **options):
        asked.append((options["repeats"], options["per_person"]))
        return {"systems": {"bundled": {"scores": {}}}}

    monkeypatch.setattr("fd2talk.evaluation.ablation.measure.evaluate", evaluated)
    measured = Measured(str(tmp_path), repeats=7, per_person=2)
    ablation = SimpleNamespace(measured=measured, protocol=SimpleNamespace(split="val"))
    weights = tmp_path / "weights" / "full" / "0"
    assert VariantMeasure(ablation, tmp_path)(Variant("Full", ()), weights, [Column("aperture_correlation")]) == {}
    assert asked == [(7, 2)]
