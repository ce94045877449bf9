"""Reuse of measured and generated clips."""

import shutil
from dataclasses import replace

from fd2talk.evaluation import weights_digest, worker
from fd2talk.evaluation.inputs import clip_reader
from shared.motion import Motion


def test_measurements_are_reused_until_files_change(report, run, generated, tmp_path):
    report(generated)
    records = sorted((tmp_path / "report" / "clips").rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in records}
    code, _, err = run("evaluate", generated, "-o", tmp_path / "report")
    assert code == 2 and "--overwrite" in err
    motion = Motion.load(generated / "bob__1.npz")
    replace(motion, rotation=motion.rotation * 2).save(generated / "bob__1.npz", overwrite=True)
    report(generated, "--overwrite")
    changed = [path for path in records if path.stat().st_mtime_ns != before[path]]
    assert [path.relative_to(tmp_path / "report" / "clips").as_posix() for path in changed] == [
        "generated/0/bob__1.json"
    ]


def test_results_of_other_code_are_not_reused(report, generated, monkeypatch, tmp_path):
    """Measurements, generated clips and tracks are each bound to the code that they come from."""

    def times(kind):
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "report").rglob(kind)}

    def other(*parts):
        return lambda *modules: "other" if any(part in module for module in modules for part in parts) else "same"

    def changed(*parts):
        before = times("clips/*/*/*.json"), times("systems/*/*/*.mp4"), times("tracks/*.npz")
        monkeypatch.setattr(worker, "code_digest", other(*parts))
        monkeypatch.setattr(clip_reader, "code_digest", other(*parts))
        report("static", generated, "--overwrite", metrics="psnr,head_diversity")
        after = times("clips/*/*/*.json"), times("systems/*/*/*.mp4"), times("tracks/*.npz")
        return [sum(old.get(path) != time for path, time in new.items()) for old, new in zip(before, after)]

    changed()
    assert changed() == [0, 0, 0]
    assert changed("metrics") == [6, 0, 0]
    changed()
    assert changed("systems") == [2, 2, 0]  # new clips are measured again
    changed()
    assert changed("tracker", "metrics") == [6, 0, 2]


def test_other_weights_of_the_lip_expert_are_another_metric(report, generated, monkeypatch, tmp_path):
    found = report(generated, metrics="lip_expert_offset,head_diversity")
    weights = found["metrics"]["lip_expert_offset"]["weights"]
    assert len(weights["lip_expert.safetensors"]) == 64 and found["metrics"]["head_diversity"]["weights"] == {}
    records = list((tmp_path / "report" / "clips").rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in records}
    monkeypatch.setattr(weights_digest, "_digest_of", lambda folders: "others")
    report(generated, "--overwrite", metrics="lip_expert_offset,head_diversity")
    assert all(path.stat().st_mtime_ns != before[path] for path in records)


def test_missing_arrays_are_measured_again(report, real, tmp_path, means):
    for repeat in ("0", "1"):
        shutil.copytree(real, tmp_path / "samples" / repeat)
    diversity = means(report(tmp_path / "samples", metrics="pose_diversity"), "samples")
    (tmp_path / "report" / "clips" / "samples" / "1" / "bob__1.npz").unlink()
    again = report(tmp_path / "samples", "--overwrite", metrics="pose_diversity")
    assert means(again, "samples") == diversity


def test_systems_generate_their_clips_once(report, tmp_path, real, means):
    arguments = ("static", "warp", "real-shuffled")
    found = report(*arguments, metrics="psnr,head_diversity,seconds_stage1,parameters_stage1")
    assert means(found, "static")["head_diversity"] < 1e-9 and means(found, "warp")["head_diversity"] > 0.1
    assert (
        found["systems"]["warp"]["cost"]["parameters_stage1"]
        > 1
        > found["systems"]["static"]["cost"]["parameters_stage1"]
    )
    generated = tmp_path / "report" / "systems" / "warp" / "0" / "bob__1.mp4"
    before = generated.stat().st_mtime_ns
    report(*arguments, "--overwrite", metrics="psnr_face")
    assert generated.stat().st_mtime_ns == before


def test_a_record_is_reused_for_the_same_fingerprint(tmp_path):
    path = tmp_path / "clip.json"
    worker._write_json(path, {"fingerprint": "a", "values": {}})
    assert worker._read_cached(path, "a") and worker._read_cached(path, "b") is None
    path.write_text("{broken")
    assert worker._read_cached(path, "a") is None
