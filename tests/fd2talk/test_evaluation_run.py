"""`fd2talk evaluate` from folders to reports, on a second of a portrait that the geometric renderer moves."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from material import SPEECH, sine_motion

from fd2talk.evaluation import runner as evaluation_run
from fd2talk.evaluation import worker as evaluation_clips
from fd2talk.evaluation.inputs import clip_reader as footage
from fd2talk.evaluation.metrics import cost
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.image_metrics import STRIDE, Judges, _side_by_side
from fd2talk.evaluation.metrics.lip_judge import LipJudge
from fd2talk.evaluation.worker import arrays_of
from shared.errors import Fd2TalkError, InputError
from shared.media import VideoWriter, read_audio, read_image, read_video
from shared.metrics.fid import frechet_distance
from shared.motion import Motion
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

FRAMES = 22
PLAIN = "psnr,ssim,psnr_mouth,flicker,sharpness,head,mesh,aperture_correlation,aperture_lag,aperture_spread"


@pytest.fixture(scope="module")
def real(tmp_path_factory, photo):
    """A folder of two people's clips, each a video and its motion."""
    folder = tmp_path_factory.mktemp("real")
    pipeline = RenderPipeline.from_pretrained(renderer="geometry")
    fitted, speech = pipeline.fit(read_image(photo)), read_audio(SPEECH)
    for name, start in (("anna__1", 8000), ("bob__1", 30000)):
        sound = speech[start : start + 640 * FRAMES]
        motion = sine_motion(sound, fitted)
        motion.save(folder / f"{name}.npz")
        with VideoWriter(folder / f"{name}.mp4", (240, 240), audio=sound) as writer:
            for frame in pipeline(fitted, motion, relative=False):
                writer.write(frame)
    return folder


@pytest.fixture
def made(tmp_path, real):
    return shutil.copytree(real, tmp_path / "made")


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """One process, this one: half a minute of starting others is not what these tests are about."""

    def in_processes(work, jobs, workers, what, unit, *, start, given, failed):
        start(*given)
        results = []
        for index, job in enumerate(jobs):
            try:
                results.append(work(*job))
            except Fd2TalkError as error:
                failed(index, error)
                results.append(None)
        return results

    monkeypatch.setattr(evaluation_run, "in_processes", in_processes)


@pytest.fixture
def report(run, tmp_path, real):
    """Evaluate and read report.json."""

    def report(*arguments, reference=real, output="report", metrics=PLAIN):
        where = ["--reference", reference] if reference else []
        code, out, err = run("evaluate", *arguments, *where, "--metrics", metrics, "-o", tmp_path / output)
        assert code == 0, err
        assert out.split() == [str(tmp_path / output / f"report.{kind}") for kind in ("md", "html", "json")]
        return json.loads((tmp_path / output / "report.json").read_text())

    return report


def means(report, row):
    return {key: score["mean"] for key, score in report["systems"][row]["scores"].items()}


def test_a_clip_against_itself_is_perfect(report, made, tmp_path):
    found = report(made)
    scores = means(found, "made")
    perfect = {"psnr": 68.13, "ssim": 1, "psnr_mouth": 68.13, "sharpness": 1, "aperture_correlation": 1,
               "aperture_lag": 0, "aperture_spread": 1, "head_spread": 1}  # fmt: skip
    perfect |= dict.fromkeys(("lve", "fdd", "fdd_signed", "mod", "lip_sync", "lip_max", "l2_lip", "l2_face", "mve"), 0)
    assert {key: scores[key] for key in perfect} == pytest.approx(perfect, abs=0.01)
    assert scores["flicker"] == pytest.approx(means(found, "real")["flicker"])
    assert found["systems"]["made"]["people"] == 2 and found["failed"] == []
    assert "psnr" not in means(found, "real")  # nothing to compare the real clips with
    assert "repeats" in found["skipped"]["expression_diversity"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") >= 2 and "PSNR" in (tmp_path / "report" / "report.md").read_text()


def test_what_differs_is_measured_in_its_unit(report, made):
    for path in made.glob("*.npz"):
        motion = Motion.load(path)
        motion.expression[:] = motion.expression[:1]
        motion.save(path, overwrite=True)
    scores = means(report(made), "made")
    assert scores["lve"] > 1 and scores["mod"] > 1 and scores["aperture_spread"] < 0.01 and scores["psnr"] > 60
    assert scores["fdd_signed"] > 0  # less lively than the real face


def test_measured_clips_are_kept_until_their_files_change(report, run, made, tmp_path):
    report(made)
    records = sorted((tmp_path / "report" / "clips").rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in records}
    code, _, err = run("evaluate", made, "-o", tmp_path / "report")
    assert code == 2 and "--overwrite" in err
    motion = Motion.load(made / "bob__1.npz")
    replace(motion, rotation=motion.rotation * 2).save(made / "bob__1.npz", overwrite=True)
    report(made, "--overwrite")
    changed = [path for path in records if path.stat().st_mtime_ns != before[path]]
    assert [path.relative_to(tmp_path / "report" / "clips").as_posix() for path in changed] == ["made/0/bob__1.json"]


def test_what_other_code_measured_or_made_is_not_kept(report, made, monkeypatch, tmp_path):
    """Clips and the systems' clips, each by the code that they come from; tracks by the tracker's."""

    def times(kind):
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "report").rglob(kind)}

    def other(*parts):
        return lambda *modules: "other" if any(part in module for module in modules for part in parts) else "same"

    def changed(*parts):
        before = times("clips/*/*/*.json"), times("systems/*/*/*.mp4"), times("tracks/*.npz")
        monkeypatch.setattr(evaluation_clips, "code_digest", other(*parts))
        monkeypatch.setattr(footage, "code_digest", other(*parts))
        report("static", made, "--overwrite", metrics="psnr,head_diversity")
        after = times("clips/*/*/*.json"), times("systems/*/*/*.mp4"), times("tracks/*.npz")
        return [sum(old.get(path) != time for path, time in new.items()) for old, new in zip(before, after)]

    changed()
    assert changed() == [0, 0, 0]
    assert changed("measure") == [6, 0, 0]
    changed()
    assert changed("systems") == [2, 2, 0]  # and what was made is measured anew
    changed()
    assert changed("tracker", "measure") == [6, 0, 2]


def test_other_weights_of_the_lip_expert_are_another_judge(report, made, monkeypatch, tmp_path):
    found = report(made, metrics="lip_expert_offset,head_diversity")
    weights = found["metrics"]["lip_expert_offset"]["weights"]
    assert len(weights["lip_expert.safetensors"]) == 64 and found["metrics"]["head_diversity"]["weights"] == {}
    records = list((tmp_path / "report" / "clips").rglob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in records}
    monkeypatch.setattr(evaluation_run, "_digest_of", lambda folders: "others")
    report(made, "--overwrite", metrics="lip_expert_offset,head_diversity")
    assert all(path.stat().st_mtime_ns != before[path] for path in records)


def test_what_a_clip_left_for_others_is_measured_again_when_it_is_gone(report, real, tmp_path):
    for repeat in ("0", "1"):
        shutil.copytree(real, tmp_path / "samples" / repeat)
    diversity = means(report(tmp_path / "samples", metrics="pose_diversity"), "samples")
    (tmp_path / "report" / "clips" / "samples" / "1" / "bob__1.npz").unlink()
    again = report(tmp_path / "samples", "--overwrite", metrics="pose_diversity")
    assert means(again, "samples") == diversity


def test_nothing_made_that_can_be_measured_is_a_failure(run, real, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "bob__1.mp4").write_bytes(b"nothing")
    code, out, err = run("evaluate", tmp_path / "made", "--reference", real, "--metrics", PLAIN, "-o", tmp_path / "out")
    assert (code, out) == (1, "") and err.endswith("fd2talk: not one of 1 clips could be measured\n")
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_report_that_cannot_be_written_to_is_told_in_lines(run, made, real, monkeypatch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tracks").write_text("in the way")
    arguments = ("evaluate", made, "--reference", real, "--metrics", PLAIN, "-o", tmp_path / "out")
    code, _, err = run(*arguments)
    assert code == 1 and err == "fd2talk: not one of 2 clips could be measured\n"
    monkeypatch.setattr(evaluation_run.os, "access", lambda path, mode: False)
    code, _, err = run(*arguments)
    assert code == 2 and err.startswith("fd2talk: cannot write to") and err.count("\n") == 1


def test_a_file_that_a_manifest_lists_and_is_not_there_is_one_bad_clip(report, real, made):
    (made / "manifest.csv").write_text("file,person\nanna__1.npz,anna\ngone.npz,gone\n")
    found = report(real, reference=made, metrics="head_diversity")
    assert [f["clip"] for f in found["failed"]] == ["gone"] and "no such file" in found["failed"][0]["why"]


def test_a_report_does_not_tell_where_home_is(report, made, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (made / "bob__1.mp4").write_bytes(b"nothing")
    found = report(made, metrics="fid,psnr")
    assert "not in ~/.cache/fd2talk/models" in found["skipped"]["fid"] and str(tmp_path) not in found["skipped"]["fid"]
    assert "~/made/bob__1.mp4" in found["failed"][0]["why"] and str(tmp_path) not in found["failed"][0]["why"]


def test_networks_are_loaded_once_and_only_where_something_is_asked_of_them(report, monkeypatch):
    loaded = []
    learned = cost.Learned
    monkeypatch.setattr(cost, "Learned", lambda *names: loaded.append(names[0]) or learned(*names))
    found = report("warp", "static", metrics="cost")
    assert (
        loaded == ["warp", "static"] and found["weights"]["of"] == "bundled" and len(found["weights"]["sha256"]) == 64
    )
    assert {"gflop_frame", "parameters_stage1"} <= set(found["systems"]["warp"]["cost"])
    report("warp", "--overwrite", metrics="seconds_stage1,memory")
    assert loaded == ["warp", "static"]


def test_a_bad_clip_is_reported_and_the_others_are_measured(report, made):
    (made / "bob__1.mp4").write_bytes((made / "bob__1.mp4").read_bytes()[:300])
    found = report(made)
    assert [(f["system"], f["clip"]) for f in found["failed"]] == [("made", "bob__1")]
    assert found["systems"]["made"]["clips"] == 1 and found["systems"]["real"]["clips"] == 2


def test_other_lengths_rates_and_sizes_are_refused_unless_resampled(report, made, real):
    frames = list(read_video(made / "anna__1.mp4"))
    with VideoWriter(made / "anna__1.mp4", (120, 120), fps=25, audio=None, overwrite=True) as writer:
        for frame in frames[:12]:
            writer.write(np.ascontiguousarray(frame[::2, ::2]))
    Motion.load(made / "anna__1.npz").slice(0, 12).save(made / "anna__1.npz", overwrite=True)
    motion = Motion.load(made / "bob__1.npz")
    (made / "bob__1.mp4").unlink()
    motion.resample(30).save(made / "bob__1.npz", overwrite=True)
    found = report(made, "--resample")
    assert found["failed"] == [] and means(found, "made")["lve"] < 1
    refused = report(made, f"same={real}", output="strict")
    assert {f["clip"] for f in refused["failed"]} == {"anna__1", "bob__1"}
    assert all("--resample" in f["why"] for f in refused["failed"])


def test_an_odd_last_row_and_column_do_not_count(real):
    class Odd:
        def __init__(self, cut):
            self.cut = cut

        def frames(self):
            return (frame[: -self.cut, : -self.cut] for frame in read_video(real / "anna__1.mp4"))

    for ours, theirs in _side_by_side(Odd(2), Odd(1), False):
        assert ours.shape == theirs.shape == (238, 238, 3) and np.array_equal(ours, theirs)
    with pytest.raises(InputError, match="--resample"):
        list(_side_by_side(Odd(1), Odd(2), False))


def test_a_face_is_found_again_in_frames_brought_to_another_size(report, made, monkeypatch, tmp_path):
    def place(self, image, landmarks):  # where the nose is, as an angle
        turn = landmarks[1, 0] / image.shape[1] * np.pi
        return np.array([np.cos(turn), np.sin(turn)])

    monkeypatch.setattr(Judges, "embed", property(lambda self: partial(place, self)))
    monkeypatch.setattr(evaluation_run, "find_judge", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(evaluation_run, "digest", lambda path: "0" * 64)
    for path in made.glob("*.mp4"):
        frames = list(read_video(path))
        with VideoWriter(path, (120, 120), audio=read_audio(path), overwrite=True) as writer:
            for frame in frames:
                writer.write(np.ascontiguousarray(frame[::2, ::2]))
    assert means(report(made, "--resample", metrics="identity"), "made")["identity"] > 0.99


def test_repeats_make_intervals_and_diversity(report, real, tmp_path):
    for repeat in range(3):
        folder = tmp_path / "samples" / str(repeat)
        folder.mkdir(parents=True)
        for path in real.glob("*.npz"):
            motion = Motion.load(path)
            replace(motion, rotation=motion.rotation * (1 + repeat)).save(folder / path.name)
    found = report(tmp_path / "samples", "--repeats", "3", metrics="mesh,head")
    row = found["systems"]["samples"]
    assert row["repeats"] == 3 and row["scores"]["head_diversity"]["over"] == "repeats"
    low, high = row["scores"]["head_diversity"]["low"], row["scores"]["head_diversity"]["high"]
    assert low < row["scores"]["head_diversity"]["mean"] < high
    assert row["scores"]["expression_diversity"]["mean"] == 0 and row["scores"]["pose_diversity"]["mean"] > 0.5


def test_networks_that_are_not_there_are_named_and_the_rest_runs(report, made, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = report(made, metrics="fid,lse_c,lpips_alex,psnr")
    assert set(found["skipped"]) == {"fid", "lse_c", "lpips_alex"} and means(found, "made")["psnr"] > 60
    assert "pt_inception" in found["skipped"]["fid"] and "--models" in found["skipped"]["fid"]


class Stub:
    """Networks whose answers can be told by hand: means of pictures, loudness of sound."""

    def features(self, images):
        return images.reshape(len(images), -1, 3).mean(1)

    def distance(self, made, real, box=None):
        return 0.0 if box is None else float(box[2] - box[0])

    def __call__(self, image, landmarks):
        return np.array([0.6, 0.8])

    def embed_video(self, crops):
        return np.lib.stride_tricks.sliding_window_view(crops.reshape(len(crops), -1).mean(1), 5)

    def embed_audio(self, coefficients):
        return np.lib.stride_tricks.sliding_window_view(coefficients[:, 0], 20)[::4, :5]


def test_networks_judge_pictures_and_their_figures_come_together(report, made, monkeypatch, tmp_path):
    for name in ("inception", "embed", "syncnet"):
        monkeypatch.setattr(Judges, name, property(lambda self: Stub()))
    monkeypatch.setattr(Judges, "lpips", lambda self, net: Stub())
    monkeypatch.setattr(evaluation_run, "find_judge", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(evaluation_run, "digest", lambda path: "0" * 64)
    frames = list(read_video(made / "anna__1.mp4"))
    with VideoWriter(
        made / "anna__1.mp4", (240, 240), audio=read_audio(made / "anna__1.mp4"), overwrite=True
    ) as writer:
        for frame in frames:
            writer.write(255 - frame // 2)
    metrics = "fid,identity,lpips_alex,lpips_alex_mouth,lpips_alex_face,lse_c,lse_d,syncnet_confidence,syncnet_offset"
    found = report(made, metrics=metrics)
    scores, real = means(found, "made"), means(found, "real")
    assert scores["identity"] == pytest.approx(1) and scores["lpips_alex"] == 0
    assert scores["lpips_alex_face"] > scores["lpips_alex_mouth"] > 10
    assert set(scores) == set(metrics.split(",")) and "fid" not in real and "lse_c" in real
    features = [arrays_of(tmp_path / "report", {"system": row, "repeat": 0, "clip": clip})["inception"]
                for row in ("made", "real") for clip in ("anna__1", "bob__1")]  # fmt: skip
    assert features[0].shape == (-(-FRAMES // STRIDE), 3)
    expected = frechet_distance(np.concatenate(features[:2]), np.concatenate(features[2:]))
    assert scores["fid"] == pytest.approx(expected) and scores["fid"] > 100


def test_a_part_alone_is_measured_alone(report, made, monkeypatch, tmp_path):
    monkeypatch.setattr(Judges, "lpips", lambda self, net: Stub())
    monkeypatch.setattr(evaluation_run, "find_judge", lambda name, folders, download: tmp_path)
    monkeypatch.setattr(evaluation_run, "digest", lambda path: "0" * 64)
    assert set(means(report(made, metrics="lpips_alex_mouth"), "made")) == {"lpips_alex_mouth"}


def test_a_clip_too_short_for_a_judge_says_so(report, made):
    found = report(made, metrics="lip_expert_offset,head_diversity")
    notes = [clip["notes"]["lip_expert_offset"] for clip in found["clips"] if clip["system"] == "made"]
    assert len(notes) == 2 and all("too short" in note for note in notes)
    assert "lip_expert_offset" not in means(found, "made") and "head_diversity" in means(found, "made")


def test_a_protocol_measures_its_columns(report, made, run, tmp_path, real):
    code, _, err = run("evaluate", made, "--reference", real, "--protocol", "3dfacepolicy", "-o", tmp_path / "report")
    assert code == 0, err
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(found["metrics"]) == {"fdd", "mve"} and found["protocol"]["name"] == "3dfacepolicy"
    text = (tmp_path / "report" / "report.md").read_text()
    assert "not comparable" in text and "25.352" in text


def test_the_pictures_are_believed_where_a_protocol_says_so(run, made, real, tmp_path):
    """FD2Talk measures the video: a motion file that tells of another head beside it does not count."""
    for path in made.glob("*.npz"):
        motion = Motion.load(path)
        replace(motion, rotation=np.tile(motion.rotation[:1], (len(motion), 1))).save(path, overwrite=True)
    diversity = {}
    for protocol, metrics in (("fd2talk", "ssim"), ("3diface", "head_diversity")):
        where = tmp_path / protocol
        code, _, err = run(
            "evaluate", made, "--reference", real, "--protocol", protocol, "--metrics", metrics, "-o", where
        )
        assert code == 0, err
        found = json.loads((where / "report.json").read_text())
        diversity[found["protocol"]["settings"]["motion"]] = means(found, "made")["head_diversity"]
    assert diversity["file"] < 1e-9 and diversity["video"] > 0.3


def test_systems_make_their_clips_once(report, tmp_path, real):
    arguments = ("static", "warp", "real-shuffled")
    found = report(*arguments, metrics="psnr,head_diversity,seconds_stage1,parameters_stage1")
    assert means(found, "static")["head_diversity"] < 1e-9 and means(found, "warp")["head_diversity"] > 0.1
    assert (
        found["systems"]["warp"]["cost"]["parameters_stage1"]
        > 1
        > found["systems"]["static"]["cost"]["parameters_stage1"]
    )
    made = tmp_path / "report" / "systems" / "warp" / "0" / "bob__1.mp4"
    before = made.stat().st_mtime_ns
    report(*arguments, "--overwrite", metrics="psnr_face")
    assert made.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "arguments, saying",
    [
        (["nowhere"], "neither a folder, a clip, a manifest (.csv), nor a system"),
        (["{real}", "--metrics", "beauty"], "there is no metric beauty"),
        (["{real}", "--protocol", "wav2lip"], "there is no protocol wav2lip"),
        (["{real}", "--split", "val"], "--split is of the reference"),
        (["bundled"], "give --reference"),
        ([], "nothing to measure"),
        (["{real}", "--metrics", "fid"], "needs"),
        (["{real}", "a={real}", "a={real}"], "two rows are called a"),
        (["{real}", "--ablation", "x.yaml"], "give no GENERATED"),
        (["../x={real}"], "cannot be the name of a row"),
        (["static", "--reference", "{real}", "--weights", "nowhere"], "no such folder of weights"),
        (["{real}", "--face-model", "nowhere.safetensors"], "no such file"),
        (["{real}", "--reference", "{real}", "--phones", "{real}/anna__1.mp4"], "not an alignment"),
    ],
)
def test_wrong_usage_is_one_line(refused, tmp_path, real, arguments, saying):
    arguments = [argument.format(real=real) for argument in arguments]
    refused("evaluate", *arguments, "-o", tmp_path / "report", folder=tmp_path, saying=saying)


def test_every_metric_has_a_place_in_the_catalogue():
    for key, metric in CATALOGUE.items():
        assert metric.direction in ("higher", "lower", "zero", "one", "real"), key
        assert metric.definition.endswith(".") and metric.source and metric.label, key


@pytest.fixture(scope="module")
def talking():
    """A bundled performance of three seconds, and its speech."""
    speech = read_audio(SPEECH)[: 16000 * 3]
    return MotionPipeline.from_pretrained("bundled")(speech, seed=0), speech


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_the_lip_judge_hears_by_how_many_frames_a_mouth_is_late(talking, late):
    motion, speech = talking
    order = np.clip(np.arange(len(motion)) - late, 0, len(motion) - 1)
    moved = replace(motion, expression=motion.expression[order], rotation=motion.rotation[order],
                    translation=motion.translation[order])  # fmt: skip
    assert LipJudge()(moved, speech).offset == late


def test_a_record_is_only_kept_for_the_same_question(tmp_path):
    path = tmp_path / "clip.json"
    evaluation_clips._write(path, {"fingerprint": "a", "values": {}})
    assert evaluation_clips._kept(path, "a") and evaluation_clips._kept(path, "b") is None
    path.write_text("{broken")
    assert evaluation_clips._kept(path, "a") is None
