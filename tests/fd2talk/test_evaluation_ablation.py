"""The ablation's runner: trains what its file says, goes on where it was, and prints the paper's tables."""

import csv
import json

import numpy as np
import pytest
import yaml
from material import SPEECH
from safetensors import safe_open

from fd2talk.evaluation.ablation.clips import ClipMeasure
from fd2talk.evaluation.ablation.file import METRICS, read_ablation
from fd2talk.evaluation.ablation.runner import run_ablation, train_part
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.faces.tracker import track_photo
from shared.media import VideoWriter, read_audio, read_image
from shared.splits import is_development
from shared.tracking import Track, motion_from_track
from shared.weights import bundled, bundled_config
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

TINY = {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6}
FULL = "ablations/fd2talk.yaml"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two people, one of them a development person, who say three seconds each, as `fd2talk prepare` leaves them."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "motions").mkdir()
    names = [f"person{i}" for i in range(20)]
    people = [next(n for n in names if is_development(n)), next(n for n in names if not is_development(n))]
    pipeline, speech = MotionPipeline.from_pretrained(), read_audio(SPEECH)
    with open(folder / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "file", "person", "split", "audio", "face_px"))
        for seed, person in enumerate(people):
            pipeline(speech[: 3 * 16000], seed=seed).save(folder / "motions" / f"{person}.npz")
            rows.writerow((person, f"{person}.mp4", person, "train", "ok", "200"))
            rows.writerow((person, f"{person}.mp4", person, "val", "ok", "0"))
    return folder


@pytest.fixture
def config(tmp_path, prepared):
    """A table of two variants, each a step of training."""
    own = {
        "prepared": str(prepared),
        "speech_encoder": "bundled",
        "phonetics": str(bundled("fd2talk") / "phonetics.safetensors"),
        "cache": str(prepared),
        "network": TINY,
        "loss": {"steps": 1},
        "training": {"output": "nowhere", "max_steps": 1, "batch_size": 2, "precision": "no"},
    }
    (tmp_path / "expression.yaml").write_text(yaml.safe_dump({"model": "expression", **own}))
    content = {
        "title": "A small ablation",
        "protocol": "fd2talk",
        "runs": str(tmp_path / "runs"),
        "seeds": [0, 1],
        "trainings": {
            "expression": {"base": "expression.yaml"},
            "pose": {"base": "expression", "changes": {"model": "pose"}},
            "joint": {"base": "expression", "changes": {"model": "expression_and_pose"}},
        },
        "variants": {
            "full": {"title": "Full", "trainings": ["expression", "pose"]},
            "single": {"title": "Single", "trainings": ["joint"]},
        },
        "measured": {"clips": str(tmp_path), "prepared": str(prepared), "squeezenet": "nowhere"},
        "tables": [
            {
                "published": "Table 3",
                "rows": {"single": "w/o alignment", "full": "Full (FD2Talk)"},
                "further": ["aperture_correlation"],
            }
        ],
    }
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


class Stub:
    """Finds .5, .7 for the whole's seeds, .2 less for the other, and never LSE-C."""

    def __init__(self):
        self.asked = []

    def __call__(self, weights, seed, wanted):
        assert set(wanted) == {"lse_c", "syncnet_confidence", "aperture_correlation"}
        self.asked.append((weights.parent.name, seed))
        single = (weights / "expression_and_pose.safetensors").exists()
        return {"lse_c": None, "aperture_correlation": 0.5 + 0.2 * seed - (0.2 if single else 0.0)}


def test_it_trains_goes_on_and_writes_the_table(config, tmp_path):
    measure, output = Stub(), tmp_path / "report"
    run_ablation(config, output, measure)
    assert measure.asked == [("full", 0), ("single", 0), ("full", 1), ("single", 1)]
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
    assert RenderPipeline.from_pretrained(runs / "weights/full/0").networks is not None  # the bundled renderer

    text = (output / "ablation.md").read_text()
    assert "| Full | not measured | not measured | 0.600 ± 0.141 |" in text
    assert "| Single | not measured | not measured | 0.400 ± 0.141 |" in text
    assert "| *published: Full (FD2Talk)* | *7.31* | *6.26* |  |" in text
    assert "| *published: w/o alignment* | *4.66* | *3.97* |  |" in text
    assert "| Single | **-0.2000 (-0.2000 to -0.2000)** |" in text
    report = json.loads((output / "ablation.json").read_text())
    assert report["variants"]["single"]["values"]["1"] == {"aperture_correlation": pytest.approx(0.5)}
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
    assert len(measure.asked) == 4  # nor measured
    assert (output / "ablation.md").read_text() == text


def test_other_settings_are_trained_anew_and_a_killed_training_goes_on(config, tmp_path, capsys):
    best = train_part(read_ablation(config), "pose", 0)
    old = best.joinpath("pose.safetensors").read_bytes()
    best.parent.joinpath("finished").unlink()  # as if it had been killed before its end
    train_part(read_ablation(config), "pose", 0)
    assert best.joinpath("pose.safetensors").read_bytes() == old
    content = yaml.safe_load(config.read_text())
    content["trainings"]["pose"]["changes"]["network"] = {"alignment": None}
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    capsys.readouterr()
    train_part(read_ablation(config), "pose", 0)
    assert "pose, seed 0" in capsys.readouterr().out
    with safe_open(best / "pose.safetensors", "pt") as file:
        assert json.loads(file.metadata()["motion_transformer"])["config"]["alignment"] is None


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda c: c.pop("seeds"), "it has no seeds"),
        (lambda c: c["variants"]["full"]["trainings"].append("voice"), "no training 'voice'"),
        (lambda c: c["tables"][0].update(published="Table 9"), "has no table 'Table 9'"),
        (lambda c: c["tables"][0]["rows"].update(other="Full (FD2Talk)"), "no variant 'other'"),
        (lambda c: c["tables"][0].update(further=["loveliness"]), "no metric 'loveliness'"),
        (lambda c: c["trainings"]["pose"].update(base="nobody.yaml"), "nobody.yaml"),
    ],
)
def test_a_faulty_file_is_refused(config, change, saying):
    content = yaml.safe_load(config.read_text())
    change(content)
    config.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=saying):
        read_ablation(config)


def test_the_papers_ablations_are_as_they_are_named():
    ablation = read_ablation(bundled_config(FULL))
    trainings = ablation.trainings
    for ours, base, changes in (
        ("expression_unmasked", "expression", {"network": {"alignment": None}}),
        ("pose_unmasked", "pose", {"network": {"alignment": None}}),
        ("expression_unjudged", "expression", {"loss": {"sync_weight": 0.0}}),
    ):
        expected = dict(trainings[base])
        for section, values in changes.items():
            expected[section] = {**expected[section], **values}
        assert trainings[ours] == expected
    assert trainings["expression"]["loss"]["sync_weight"] > 0
    steps = {name: config["training"]["max_steps"] for name, config in trainings.items() if name != "judge"}
    assert {steps[name] for name in steps if not name.startswith("renderer")} == {300}
    assert steps["renderer"] == steps["renderer_concatenated"]
    assert trainings["renderer_concatenated"]["network"]["conditions"] == "concatenated"
    assert ablation.seeds == (0, 1, 2)
    assert [(t.published.table, list(t.rows)[-1]) for t in ablation.tables] == [
        ("Table 2", "full"),
        ("Table 3", "full"),
    ]
    assert set(METRICS) >= {key for table in ablation.tables for key in table.columns}


def test_clips_are_measured(config, prepared, tmp_path, monkeypatch):
    """The bundled weights on clips that they made: the figures are where good ones lie, and no picture is needed."""
    monkeypatch.setattr("fd2talk.evaluation.ablation.clips.SqueezeDistance", lambda path: None)
    measure = ClipMeasure(tmp_path, prepared, "nowhere", "val", 0.12)
    measure._photos = {row["name"]: None for row in measure.rows}
    found = measure(bundled("fd2talk"), 0, [key for key, metric in METRICS.items() if metric.family != "image"])
    assert found["aperture_correlation"] > 0.9 and 0.8 < found["aperture_spread"] < 1.25
    assert found["lip_expert_confidence"] == found["second_expert_confidence"] > 0.2
    assert 0 < found["beat_align_audio"] <= 1 and found["head_diversity"] > 0.5
    assert all(map(np.isfinite, found.values()))
    with pytest.raises(InputError, match="no clips of split personal"):
        ClipMeasure(tmp_path, prepared, "nowhere", "personal", 0.12)


def test_pictures_are_measured(photo, tmp_path, monkeypatch):
    """A photo filmed for 30 frames whose sound is 25 frames long: with its own motion it is met, with talk less so."""
    monkeypatch.setattr("fd2talk.evaluation.ablation.clips.SqueezeDistance", lambda path: None)
    image, sound = read_image(photo), read_audio(SPEECH)[8000:24000]
    with VideoWriter(tmp_path / "still.mp4", image.shape[1::-1], audio=None) as video:
        for _ in range(30):
            video.write(image)
    for folder in ("motions", "tracks"):
        (tmp_path / folder).mkdir()
    track = Track.from_frames([track_photo(image)] * 30, sound)
    motion_from_track(load_bundled(), track).save(tmp_path / "motions" / "still.npz")
    crop = (track.crop.center_x, track.crop.center_y, track.crop.side)
    np.savez(tmp_path / "tracks" / "still.npz", landmarks=track.landmarks, confidence=track.confidence, crop=crop)
    header = "name,file,person,split,audio,face_px"
    (tmp_path / "index.csv").write_text(f"{header}\nstill,still.mp4,somebody,val,ok,120\n")
    found = ClipMeasure(tmp_path, tmp_path, "nowhere", "val", 0.12)(bundled("fd2talk"), 0, ["psnr", "psnr_driven"])
    assert set(found) == {"psnr", "psnr_driven"}
    assert found["psnr_driven"] > 30 and 12 < found["psnr"] < found["psnr_driven"]
