import csv

import numpy as np
import pytest
from material import DEMO
from PIL import Image

from fd2talk.commands.prepare import find_clips, split_of
from fd2talk.commands.train import model_module, read_config
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.motion import Motion
from shared.prepared import clip_frames, load_track, read_index
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
    track = load_track(out / "tracks" / "man__deep__one.npz")
    landmarks, confidence, crop = track.landmarks, track.confidence, track.crop
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


def test_splits_at_cuts_and_leaves_out_another_person(tmp_path, run):
    woman, man = (Image.open(DEMO / f"portrait_{name}.jpg").resize((240, 240)) for name in ("woman", "man"))
    shots = [(woman, 30), (man, 26), (woman.crop((20, 20, 220, 220)).resize((240, 240)), 28), (woman, 10)]
    tone = 0.5 * np.sin(np.arange(94 * 640) * 0.3).astype(np.float32)
    tone[: 60 * 640] = 0  # it begins in the fourth frame of the second woman
    (tmp_path / "clips").mkdir()
    with VideoWriter(tmp_path / "clips" / "edited.mp4", (240, 240), audio=tone) as writer:
        for picture, frames in shots:
            for _ in range(frames):
                writer.write(np.asarray(picture))
    out = tmp_path / "out"
    code, _, err = run("prepare", tmp_path / "clips", out, "--workers", 1)
    assert code == 0 and err.count("\n") == 1
    assert "cut at 1.20, 2.24, 3.36 s: kept 58 of 94 frames in 2 parts; 26 frames of another person" in err
    first, second = read_index(out)
    assert (first["name"], first["start"], first["frames"]) == ("edited", "0", "30")
    assert (second["name"], second["start"], second["frames"]) == ("edited__part2", "56", "28")
    motions = [Motion.load(out / "motions" / f"{row['name']}.npz") for row in (first, second)]
    assert [len(m.audio) for m in motions] == [30 * 640, 28 * 640]
    loud = np.abs(motions[1].audio).reshape(28, 640).max(1) > 0.2
    assert not np.abs(motions[0].audio).max() > 0.05 and loud[5:].all() and not loud[:3].any()
    frames = list(clip_frames(tmp_path / "clips", second))
    assert len(frames) == 28
    assert np.abs(frames[0].astype(float) - np.asarray(shots[2][0].convert("RGB"))).mean() < 6
    before = (out / "tracks" / "edited__part2.npz").stat().st_mtime_ns
    assert run("prepare", tmp_path / "clips", out, "--workers", 1)[0] == 0
    assert (out / "tracks" / "edited__part2.npz").stat().st_mtime_ns == before and len(read_index(out)) == 2


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
