import csv

import numpy as np
import pytest
from material import DEMO
from PIL import Image

from fd2talk.prepare import find_clips, load_track, split_of
from fd2talk.training import model_module, read_config
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.motion import Motion
from shared.video_writer import VideoWriter

CONFIGS = DEMO.parents[1] / "configs"
VIDEOS = (".mp4",)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two people's clips (a portrait that wanders, one small in a large frame), one broken file."""
    folder = tmp_path_factory.mktemp("clips")
    for person, size, frame in (("woman", 240, (240, 240)), ("man", 180, (960, 540))):
        face = Image.open(DEMO / f"portrait_{person}.jpg").resize((size, size))
        (folder / person / "deep").mkdir(parents=True)
        with VideoWriter(folder / person / "deep" / "one.mp4", frame, audio=np.zeros(6400, np.float32)) as writer:
            for i in range(10):
                canvas = Image.new("RGB", frame, "grey")
                canvas.paste(face, (frame[0] - size - 2 * i, frame[1] - size))
                writer.write(np.asarray(canvas))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_prepares_goes_on_and_reports_what_it_leaves_out(clips, tmp_path, run):
    stills = tmp_path / "stills"
    stills.mkdir()
    Image.open(DEMO / "portrait_woman_2.jpg").resize((300, 300)).save(stills / "a.png")
    out = tmp_path / "out"
    code, printed, err = run("prepare", clips, out, "--photos", stills, "--workers", 1)
    assert code == 0 and printed.strip() == str(out)
    assert err.count("\n") == 1 and "left out" in err and "broken.mp4" in err
    index = {row["person"]: row for row in rows(out / "index.csv")}
    assert set(index) == {"woman", "man"}
    assert index["man"]["name"] == "man__deep__one" and index["man"]["frames"] == "10"
    motion = Motion.load(out / "motions" / "man__deep__one.npz", face_model=load_bundled().fingerprint)
    assert len(motion) == 10 and len(motion.audio) == 6400
    landmarks, confidence, crop = load_track(out / "tracks" / "man__deep__one.npz")
    # The face is found in a corner of the large frame, and its points are in the frame's own pixels.
    assert landmarks.shape == (10, 478, 3) and confidence.min() == 1
    assert 700 < crop.center_x < 960 and 380 < crop.center_y < 540
    drift = landmarks[-1, :, 0].mean() - landmarks[0, :, 0].mean()
    assert drift == pytest.approx(-18, abs=3)
    assert str(np.load(out / "portraits.npz")["names"][0]) == "a.png"

    before = (out / "motions" / "woman__deep__one.npz").stat().st_mtime_ns
    (out / "motions" / "man__deep__one.npz").unlink()
    assert run("prepare", clips, out, "--workers", 1)[0] == 0
    assert (out / "motions" / "woman__deep__one.npz").stat().st_mtime_ns == before
    assert np.array_equal(Motion.load(out / "motions" / "man__deep__one.npz").audio, motion.audio)


def test_manifest_decides(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,person,split,audio,lag\na/b.mp4,ann,val,weak,2\nc.mp4,,,,\n")
    first, second = find_clips(str(tmp_path), VIDEOS)
    assert (first.name, first.split, first.facts) == ("ann__a__b", "val", {"audio": "weak", "lag": "2"})
    assert (second.person, second.name, second.split) == ("c", "c", split_of("c"))
    (tmp_path / "manifest.csv").write_text("nothing\n1\n")
    with pytest.raises(InputError, match="column"):
        find_clips(str(tmp_path), VIDEOS)


def test_folders_that_hold_nothing(tmp_path, run, refused):
    with pytest.raises(UsageError, match="no such folder"):
        find_clips(str(tmp_path / "none"), VIDEOS)
    refused("prepare", tmp_path, tmp_path / "out", folder=tmp_path, saying="nothing to read")
    (tmp_path / "manifest.csv").write_text("file\na/b.mp4\na/b.mov\n")
    refused("prepare", tmp_path, tmp_path / "out", folder=tmp_path, saying="share the name a__b")


def test_a_tenth_of_the_people_validates():
    splits = [split_of(f"person {i}") for i in range(2000)]
    assert 150 < splits.count("val") < 250
    assert split_of("person 1") == splits[1]


# Protocols, and the files that say which trainings make up an ablation, have tests of their own.
TRAININGS = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.parent.name not in ("evaluation", "ablations")]


@pytest.mark.parametrize("path", TRAININGS, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_every_config_names_a_model_that_can_be_trained(path):
    module = model_module(read_config(str(path))["model"], path)
    assert callable(getattr(module, "build_task", None) or module.run)


def test_face_model_is_learned_from_a_prepared_folder(tmp_path, run, refused):
    """Faces that the bundled model draws give a model that draws them."""
    bundled = load_bundled()
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    (out / "tracks").mkdir(parents=True)
    index = []
    for k in range(6):
        identity = rng.normal(size=bundled.num_identity)
        expression = np.zeros((30, bundled.num_expression))
        expression[:, :3] = rng.normal(size=(30, 3))
        points = bundled.vertices(identity, expression) * [1, -1, -1] + [200, 200, 0]
        np.savez(
            out / "tracks" / f"p{k}.npz",
            landmarks=points.astype(np.float32),
            confidence=np.ones(30, np.float32),
            crop=np.array([200.0, 200.0, 300.0]),
        )
        index.append(f"p{k},p{k},{'val' if k == 5 else 'train'}")
    (out / "index.csv").write_text("name,person,split\n" + "\n".join(index) + "\n")
    stills = bundled.vertices(rng.normal(size=(8, bundled.num_identity)), np.zeros((8, bundled.num_expression)))
    np.savez(
        out / "portraits.npz",
        names=np.array([str(i) for i in range(8)]),
        splits=np.array(["train"] * 6 + ["val"] * 2),
        points=(stills * [1, -1, -1] + [200, 200, 0]).astype(np.float32),
        crops=np.tile([200.0, 200.0, 300.0], (8, 1)),
    )
    config = tmp_path / "face.yaml"
    settings = f"model: face_model\nprepared: {out}\noutput: {tmp_path / 'run'}\n"
    config.write_text(settings + "num_identity: 8\nnum_expression: 4\n")
    code, printed, err = run("train", config)
    assert code == 0, err
    model = MorphableModel.load(tmp_path / "run" / "best" / "model.safetensors")
    assert (model.num_identity, model.num_expression) == (8, 4)
    assert "lip residual of val clips" in printed
    assert model.fingerprint in (tmp_path / "run" / "best" / "README.md").read_text()

    config.write_text(settings.replace("prepared", "prepped"))
    refused("train", config, folder=tmp_path, saying="prepared")
    config.write_text("model: frog\n")
    refused("train", config, folder=tmp_path, saying="frog")
    config.write_text("nothing")
    refused("train", config, folder=tmp_path, saying="model: NAME")
    refused("train", tmp_path / "none.yaml", folder=tmp_path, saying="no such file")
