"""`fd2talk evaluate` from folders to reports, on a second of a portrait rendered by the warp."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreign_face_models import flame_arrays, write_bfm, write_flame, write_ict

from fd2talk.evaluation import runner
from fd2talk.evaluation.metrics import cost
from shared.face_model import load_bundled
from shared.face_model.loaders import load_face_model
from shared.media import VideoWriter, read_video
from shared.motion import Motion

PLAIN = "psnr,ssim,psnr_mouth,flicker,sharpness,head,mesh,aperture_correlation,aperture_lag,aperture_spread"


def test_a_clip_against_itself_is_perfect(report, generated, tmp_path, means):
    found = report(generated)
    scores = means(found, "generated")
    perfect = {"psnr": 68.13, "ssim": 1, "psnr_mouth": 68.13, "sharpness": 1, "aperture_correlation": 1,
               "aperture_lag": 0, "aperture_spread": 1, "head_spread": 1}  # fmt: skip
    perfect |= dict.fromkeys(("lve", "fdd", "fdd_signed", "mod", "lip_sync", "lip_max", "l2_lip", "l2_face", "mve"), 0)
    assert {key: scores[key] for key in perfect} == pytest.approx(perfect, abs=0.01)
    assert scores["flicker"] == pytest.approx(means(found, "real")["flicker"])
    assert found["systems"]["generated"]["people"] == 2 and found["failed"] == []
    assert "psnr" not in means(found, "real")  # real clips have no reference
    assert "repeats" in found["skipped"]["expression_diversity"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") >= 2 and "PSNR" in (tmp_path / "report" / "report.md").read_text()


def test_what_differs_is_measured_in_its_unit(report, generated, means):
    for path in generated.glob("*.npz"):
        motion = Motion.load(path)
        motion.expression[:] = motion.expression[:1]
        motion.save(path, overwrite=True)
    scores = means(report(generated), "generated")
    assert scores["lve"] > 1 and scores["mod"] > 1 and scores["aperture_spread"] < 0.01 and scores["psnr"] > 60
    assert scores["fdd_signed"] > 0  # less lively than the real face


def test_a_run_without_any_measurement_fails(run, real, tmp_path):
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "bob__1.mp4").write_bytes(b"nothing")
    code, out, err = run(
        "evaluate", tmp_path / "generated", "--reference", real, "--metrics", PLAIN, "-o", tmp_path / "out"
    )
    assert (code, out) == (1, "") and err.endswith("fd2talk: none of 1 clips could be measured\n")
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_report_that_cannot_be_written(run, generated, real, monkeypatch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tracks").write_text("in the way")
    arguments = ("evaluate", generated, "--reference", real, "--metrics", PLAIN, "-o", tmp_path / "out")
    code, _, err = run(*arguments)
    assert code == 1 and err == "fd2talk: none of 2 clips could be measured\n"
    monkeypatch.setattr(runner.os, "access", lambda path, mode: False)
    code, _, err = run(*arguments)
    assert code == 2 and err.startswith("fd2talk: cannot write to") and err.count("\n") == 1


def test_a_missing_file_of_a_manifest_is_one_failed_clip(report, real, generated):
    (generated / "manifest.csv").write_text("file,person\nanna__1.npz,anna\ngone.npz,gone\n")
    found = report(real, reference=generated, metrics="head_diversity")
    assert [f["clip"] for f in found["failed"]] == ["gone"] and "no such file" in found["failed"][0]["why"]


def test_a_report_does_not_contain_the_home_folder(report, generated, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (generated / "bob__1.mp4").write_bytes(b"nothing")
    found = report(generated, metrics="fid,psnr")
    assert "not in ~/.cache/fd2talk/models" in found["skipped"]["fid"] and str(tmp_path) not in found["skipped"]["fid"]
    assert "~/generated/bob__1.mp4" in found["failed"][0]["why"] and str(tmp_path) not in found["failed"][0]["why"]


def test_networks_are_loaded_once_and_only_if_needed(report, monkeypatch):
    loaded = []
    learned = cost.SystemNetworks
    monkeypatch.setattr(cost, "SystemNetworks", lambda *names: loaded.append(names[0]) or learned(*names))
    found = report("warp", "static", metrics="cost")
    assert (
        loaded == ["warp", "static"] and found["weights"]["of"] == "bundled" and len(found["weights"]["sha256"]) == 64
    )
    assert {"gflop_frame", "parameters_stage1"} <= set(found["systems"]["warp"]["cost"])
    report("warp", "--overwrite", metrics="seconds_stage1,memory")
    assert loaded == ["warp", "static"]


def test_a_bad_clip_is_reported_and_the_others_are_measured(report, generated):
    (generated / "bob__1.mp4").write_bytes((generated / "bob__1.mp4").read_bytes()[:300])
    found = report(generated)
    assert [(f["system"], f["clip"]) for f in found["failed"]] == [("generated", "bob__1")]
    assert found["systems"]["generated"]["clips"] == 1 and found["systems"]["real"]["clips"] == 2


def test_other_lengths_rates_and_sizes_are_refused_unless_resampled(report, generated, real, means):
    frames = list(read_video(generated / "anna__1.mp4"))
    with VideoWriter(generated / "anna__1.mp4", (120, 120), fps=25, audio=None, overwrite=True) as writer:
        for frame in frames[:12]:
            writer.write(np.ascontiguousarray(frame[::2, ::2]))
    Motion.load(generated / "anna__1.npz").slice(0, 12).save(generated / "anna__1.npz", overwrite=True)
    motion = Motion.load(generated / "bob__1.npz")
    (generated / "bob__1.mp4").unlink()
    motion.resample(30).save(generated / "bob__1.npz", overwrite=True)
    found = report(generated, "--resample")
    assert found["failed"] == [] and means(found, "generated")["lve"] < 1
    refused = report(generated, f"same={real}", output="strict")
    assert {f["clip"] for f in refused["failed"]} == {"anna__1", "bob__1"}
    assert all("--resample" in f["why"] for f in refused["failed"])


def test_repeats_make_intervals_and_diversity(report, real, tmp_path):
    for repeat in range(3):
        folder = tmp_path / "samples" / str(repeat)
        folder.mkdir(parents=True)
        for path in real.glob("*.npz"):
            motion = Motion.load(path)
            replace(motion, rotation=motion.rotation * (1 + repeat)).save(folder / path.name)
    found = report(tmp_path / "samples", "--repeats", "3", metrics="lve,head_diversity")
    row = found["systems"]["samples"]
    assert row["repeats"] == 3 and row["scores"]["head_diversity"]["over"] == "repeats"
    low, high = row["scores"]["head_diversity"]["low"], row["scores"]["head_diversity"]["high"]
    assert low < row["scores"]["head_diversity"]["mean"] < high
    assert row["scores"]["expression_diversity"]["mean"] == 0 and row["scores"]["pose_diversity"]["mean"] > 0.5
    assert row["scores"]["aperture_seed_correlation"]["mean"] == pytest.approx(1)


def test_missing_networks_are_named_and_the_rest_runs(report, generated, monkeypatch, tmp_path, means):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = report(generated, metrics="fid,lse_c,lpips_alex,psnr")
    assert set(found["skipped"]) == {"fid", "lse_c", "lpips_alex"} and means(found, "generated")["psnr"] > 60
    assert "pt_inception" in found["skipped"]["fid"] and "--models" in found["skipped"]["fid"]


def test_a_clip_that_is_too_short_has_a_note(report, generated, means):
    found = report(generated, metrics="lip_expert_offset,head_diversity")
    notes = [clip["notes"]["lip_expert_offset"] for clip in found["clips"] if clip["system"] == "generated"]
    assert len(notes) == 2 and all("too short" in note for note in notes)
    assert "lip_expert_offset" not in means(found, "generated") and "head_diversity" in means(found, "generated")


def test_a_protocol_measures_its_columns(report, generated, run, tmp_path, real):
    code, _, err = run(
        "evaluate", generated, "--reference", real, "--protocol", "3dfacepolicy", "-o", tmp_path / "report"
    )
    assert code == 0, err
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(found["metrics"]) == {"fdd_codetalker", "mve"} and found["protocol"]["name"] == "3dfacepolicy"
    text = (tmp_path / "report" / "report.md").read_text()
    assert "not comparable" in text and "25.352" in text


def test_motion_is_tracked_where_a_protocol_says_so(run, generated, real, tmp_path, means):
    """FD2Talk's protocol tracks the video: a motion file with another head beside it does not count."""
    for path in generated.glob("*.npz"):
        motion = Motion.load(path)
        replace(motion, rotation=np.tile(motion.rotation[:1], (len(motion), 1))).save(path, overwrite=True)
    diversity = {}
    for protocol, metrics in (("fd2talk", "ssim"), ("3diface", "head_diversity")):
        where = tmp_path / protocol
        code, _, err = run(
            "evaluate", generated, "--reference", real, "--protocol", protocol, "--metrics", metrics, "-o", where
        )
        assert code == 0, err
        found = json.loads((where / "report.json").read_text())
        diversity[found["protocol"]["settings"]["motion"]] = means(found, "generated")["head_diversity"]
    assert diversity["file"] < 1e-9 and diversity["video"] > 0.3


@pytest.mark.parametrize("kind", ["generic_model.pkl", "BFM_model_front.mat", "FaceXModel"])
def test_motions_of_other_face_models(report, tmp_path, means, kind):
    """Mesh metrics are measured, those of the tracker's landmarks have a note."""
    face, path = load_bundled(), tmp_path / kind
    face = replace(face, mean=face.mean[:468], triangles=face.triangles[(face.triangles < 468).all(1)])  # no irises
    if kind.endswith(".pkl"):
        write_flame(path, flame_arrays(face))
    else:
        (write_bfm if kind.endswith(".mat") else write_ict)(path, face)
    model = load_face_model(path)
    moving = np.zeros((30, model.num_expression), np.float32)
    moving[:, 1] = np.sin(np.arange(30))
    zeros = np.zeros((30, 3), np.float32)
    for folder, size in (("real", 1.0), ("generated", 0.5)):
        (tmp_path / folder).mkdir()
        Motion(size * moving, zeros, zeros, model.fingerprint).save(tmp_path / folder / "a.npz")
    arguments = (tmp_path / "generated", "--face-model", path)
    found = report(
        *arguments, reference=tmp_path / "real", metrics="l2_face,fdd_codetalker,aperture_correlation,blink_rate"
    )
    scores, vertices = means(found, "generated"), model.vertices(np.zeros(model.num_identity), moving)
    moved = vertices - model.mean
    assert found["failed"] == [] and "aperture_correlation" not in scores
    assert scores["l2_face"] == pytest.approx(np.linalg.norm(0.5 * moved, axis=-1).mean(), rel=1e-3)
    squares = (moved[:, model.groups["upper_face"]].astype(float) ** 2).sum(-1).std(0).mean()
    assert scores["fdd_codetalker"] == pytest.approx(squares * (1 - 0.25), rel=1e-3, abs=1e-9)
    for key in ("aperture_correlation", "blink_rate"):
        assert f"landmarks, which face model {model.name} does not have" in found["skipped"][key]
    refused = report(*arguments[1:], reference=tmp_path / "real", metrics="head_diversity", output="real_only")
    assert refused["failed"] == []


def test_motions_at_a_paper_s_frame_rate_are_measured_at_it(run, real, tmp_path, means):
    """At 30 frames per second under a protocol of that rate alone; ours stay at 25, and the report says so."""
    for folder, size in (("real", 1.0), ("generated", 0.5)):
        (tmp_path / folder).mkdir()
        for path in real.glob("*.npz"):
            motion = Motion.load(path).resample(30)
            replace(motion, expression=size * motion.expression).save(tmp_path / folder / path.name)

    def measured(generated, reference, *arguments):
        output = tmp_path / "report"
        where = ("--reference", reference, *arguments, "--overwrite", "-o", output)
        code, _, err = run("evaluate", generated, *where)
        found = json.loads((output / "report.json").read_text()) if code == 0 else None
        return (
            code,
            err,
            found and means(found, Path(generated).name),
            (output / "report.md").read_text() if found else "",
        )

    at_30 = (tmp_path / "generated", tmp_path / "real")
    metrics = ("--metrics", "mve,beat_align_real,head_growth")
    code, err, scores, text = measured(*at_30, "--protocol", "3dfacepolicy", *metrics)
    assert code == 0 and "* Measured at 30 frames per second\n" in text, err
    errors = []
    for path in real.glob("*.npz"):
        motions = [Motion.load(folder / path.name) for folder in at_30]
        assert len(motions[0]) == round(22 * 30 / 25)
        faces = [load_bundled().vertices(motions[1].identity, motion.expression) for motion in motions]
        errors.append(np.linalg.norm(faces[0] - faces[1], axis=-1).mean())
    assert scores["mve"] == pytest.approx(np.mean(errors), rel=1e-4)
    code, err, *_ = measured(*at_30, *metrics)
    assert code == 1 and "none of 2 clips" in err
    code, err, _, text = measured(real, real, "--protocol", "3dfacepolicy", *metrics)
    assert code == 0 and "* Measured at 25 frames per second; the paper's data has 30\n" in text, err


def test_motion_is_measured_with_and_without_rules(report, tmp_path):
    """The network alone has its own row, which is not rendered."""
    found = report("warp", "--limit", "1", metrics="psnr,mve,blink_rate")
    assert list(found["systems"]) == ["real", "warp", "bundled-network"]
    alone, product = (found["systems"][name]["scores"] for name in ("bundled-network", "warp"))
    assert "psnr" in product and set(alone) == {"mve", "blink_rate"} and alone["blink_rate"]["mean"] == 0
    assert found["systems"]["bundled-network"]["cost"] is None
    folder = tmp_path / "report" / "systems" / "bundled-network" / "0"
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npz"]
    assert "bundled-network" not in report("warp", "--overwrite", "--limit", "1", metrics="psnr")["systems"]


@pytest.mark.parametrize(
    "arguments, saying",
    [
        (["nowhere"], "neither a folder, a clip, a manifest (.csv), nor a system"),
        (["{real}", "--metrics", "beauty"], "there is no metric beauty"),
        (["{real}", "--protocol", "wav2lip"], "there is no protocol wav2lip"),
        (["{real}", "--split", "val"], "--split selects reference clips"),
        (["bundled"], "give --reference"),
        ([], "nothing to measure"),
        (["{real}", "--metrics", "fid"], "is required"),
        (["{real}", "a={real}", "a={real}"], "two rows are called a"),
        (["{real}", "--ablation", "x.yaml"], "give no GENERATED"),
        (["--ablation", "x.yaml", "--min-face", "9"], "give no --min-face"),
        (["--ablation", "x.yaml", "--metrics", "psnr", "--overwrite"], "give no --metrics"),
        (["../x={real}"], "cannot be the name of a row"),
        (["static", "--reference", "{real}", "--weights", "nowhere"], "no such folder of weights"),
        (["{real}", "--face-model", "nowhere.safetensors"], "no such file"),
        (["{real}", "--face-model", "{real}/anna__1.mp4"], "not a face model (known kinds: .safetensors, FLAME .pkl"),
        (["{real}", "--reference", "{real}", "--phones", "{real}/anna__1.mp4"], "not an alignment"),
    ],
)
def test_wrong_usage_is_one_line(refused, tmp_path, real, arguments, saying):
    arguments = [argument.format(real=real) for argument in arguments]
    refused("evaluate", *arguments, "-o", tmp_path / "report", folder=tmp_path, saying=saying)


def test_chosen_frames_are_compared_and_whole_videos_are_not_rendered(report, run, generated, tmp_path, means, real):
    found = report("driven-warp", "static", generated, "--frames", "4", metrics="psnr,fdd,flicker,fid,seconds_stage2")
    assert sorted(file.suffix for file in (tmp_path / "report/systems/static/0").iterdir() if "anna" in file.name) == [
        ".frames", ".json", ".npz",
    ]  # fmt: skip
    scores = means(found, "driven-warp")
    assert set(scores) == {"psnr", "fdd"} and scores["psnr"] > means(found, "static")["psnr"]
    assert means(found, "generated")["psnr"] == pytest.approx(68.1, abs=0.1)  # the same clip
    assert found["skipped"]["flicker"].endswith("needs whole videos (no --frames)")
    assert found["protocol"]["settings"]["frames"] == 4 and found["protocol"]["settings"]["motion"] == "file"
    assert len(list((tmp_path / "report").glob("sheet.jpg"))) == 1
    before = (tmp_path / "report/systems/static/0/anna__1.frames").stat().st_mtime_ns
    report("static", "--frames", "4", "--overwrite", metrics="psnr")
    assert (tmp_path / "report/systems/static/0/anna__1.frames").stat().st_mtime_ns == before
    report("static", "--frames", "3", "--overwrite", metrics="psnr")
    assert (tmp_path / "report/systems/static/0/anna__1.frames").stat().st_mtime_ns > before
    code, _, err = run("evaluate", "static", "--reference", real, "--frames", "90", "--metrics", "psnr",
                       "-o", tmp_path / "none")  # fmt: skip
    assert code == 1 and "none of 2 clips" in err
