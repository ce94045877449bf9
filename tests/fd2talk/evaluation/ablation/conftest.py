"""A small ablation."""

import csv

import pytest
import yaml
from material import SPEECH

from shared.media import read_audio
from shared.splits import is_development
from shared.weights import bundled

TINY = {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared data set of two people, one of the development split, with three seconds of generated motion each."""
    from stage1_motion.pipeline import MotionPipeline

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
    """An ablation with a table of two variants, each trained for one step."""
    own = {
        "prepared": str(prepared),
        "speech_encoder": "bundled",
        "speech_events": str(bundled("fd2talk") / "speech_events.safetensors"),
        "cache": str(prepared),
        "network": TINY,
        "loss": {"steps": 1},
        "training": {"output": "nowhere", "max_steps": 1, "batch_size": 2, "precision": "no"},
    }
    (tmp_path / "expression.yaml").write_text(yaml.safe_dump({"model": "fd2talk", "part": "expression", **own}))
    content = {
        "title": "A small ablation",
        "protocol": "fd2talk",
        "runs": str(tmp_path / "runs"),
        "seeds": [0, 1],
        "trainings": {
            "expression": {"base": "expression.yaml"},
            "pose": {"base": "expression", "changes": {"part": "pose"}},
            "joint": {"base": "expression", "changes": {"part": "expression_and_pose"}},
        },
        "variants": {
            "full": {"title": "Full", "trainings": ["expression", "pose"]},
            "single": {"title": "Single", "trainings": ["joint"]},
        },
        "measured": {"reference": str(tmp_path / "reference"), "repeats": 2},
        "tables": [
            {
                "published": "Table 3",
                "rows": {"single": "w/o alignment", "full": "Full (FD2Talk)"},
                "columns": ["aperture_correlation"],
            }
        ],
    }
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
