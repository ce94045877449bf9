"""`fd2talk personalise`, and `--person` of `fd2talk motion` and `fd2talk generate`."""

import signal

import numpy as np
import pytest
from media_files import tone
from tiny_diface import talking, write_diface
from tiny_diffposetalk import write_diffposetalk

from fd2talk.commands import personalise as command
from fd2talk.terminal import Stopped
from shared.checkpoint import load_checkpoint
from shared.errors import Fd2TalkError
from shared.motion import Motion
from shared.video_writer import VideoWriter
from stage1_motion.models.diface import personalisation
from stage1_motion.models.diface.model import KIND

FINISHED = {"README.md", "denoiser.safetensors"}


@pytest.fixture(autouse=True)
def few_crops(monkeypatch):
    monkeypatch.setattr(personalisation, "_CROPS", 8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_diface(tmp_path_factory.mktemp("diface"))


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.npz"
    talking(75).save(path)
    return path


@pytest.fixture
def learn(run, weights):
    """Run the command for a few steps: (exit code, standard output, standard error)."""

    def learn(source, output, *options, steps=3):
        return run("personalise", source, "-o", output, "--weights", weights, "--steps", steps, *options)

    return learn


@pytest.fixture
def stopping(monkeypatch):
    """Ctrl-C in the third step of a training whose every step is a checkpoint; `stopping()` ends it."""
    config, loss, seen = personalisation.TrainingConfig, personalisation.PersonTask.loss, []

    def stopped(task, model, batch):
        seen.append(model.training)
        if sum(seen) == 3:
            raise Stopped(signal.SIGINT)
        return loss(task, model, batch)

    monkeypatch.setattr(personalisation, "TrainingConfig", lambda **values: config(**{**values, "save_every": 0}))
    monkeypatch.setattr(personalisation.PersonTask, "loss", stopped)
    return lambda: monkeypatch.setattr(personalisation.PersonTask, "loss", loss)


def names(folder):
    return {path.name for path in folder.iterdir()}


def tensors(folder):
    return load_checkpoint(folder / "denoiser.safetensors", KIND)[0]


def same(one, other):
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def test_a_person_from_a_motion_file(run, learn, clip, weights, audio, tmp_path):
    person, stored = tmp_path / "new" / "ada", (weights / "denoiser.safetensors").read_bytes()
    code, printed, err = learn(clip, person, "--name", "Ada", "--consent", "for tests only")
    assert (code, printed.strip()) == (0, str(person))
    assert "3 s are little to learn a person from: with less than 60 s" in err
    assert names(person) == FINISHED and (weights / "denoiser.safetensors").read_bytes() == stored
    card = (person / "README.md").read_text()
    for line in (
        "# Ada",
        "Whose: Ada",
        "Consent: for tests only",
        "Made from: clip.npz (3 s)",
        f"3 steps from `{weights.name}`",
    ):
        assert line in card
    header = load_checkpoint(person / "denoiser.safetensors", KIND)[1]
    wanted = {"person": "Ada", "consent": "for tests only", "sources": ["clip.npz"], "seconds": 3.0}
    assert {name: header[name] for name in wanted} == wanted

    def expression(*options):
        out = tmp_path / "motion.npz"
        assert run("motion", audio, "-o", out, "--weights", weights, "--overwrite", *options)[0] == 0
        return Motion.load(out).expression

    plain, own = expression(), expression("--person", person)
    assert not np.allclose(plain, own, atol=1e-4) and np.array_equal(plain, expression())


def test_an_edit_uses_the_person_s_weights(run, refused, clip, weights, tmp_path):
    (tmp_path / "ada").mkdir()
    person, found = write_diface(tmp_path / "ada", seed=5, person="Ada"), []
    base = ("edit", clip, "--keep", "0:1", "--weights", weights)
    for number, options in enumerate([(), ("--person", person)]):
        out = tmp_path / f"{number}.npz"
        assert run(*base, "-o", out, *options)[0] == 0
        found.append(Motion.load(out).expression)
    assert np.array_equal(found[0][:25], found[1][:25]) and not np.allclose(*found, atol=1e-3)
    saying = "is no folder, let alone"
    refused(*base, "-o", tmp_path / "no.npz", "--person", tmp_path / "no", folder=tmp_path, saying=saying)


def test_consent_that_is_not_stated_is_said(learn, clip, tmp_path):
    assert learn(clip, tmp_path / "ada", steps=1)[0] == 0
    card = (tmp_path / "ada" / "README.md").read_text()
    assert "# A person" in card and "do not use it without the person's consent" in card


def test_a_minute_is_enough(learn, tmp_path):
    (tmp_path / "clips" / "deeper").mkdir(parents=True)
    talking(1000).save(tmp_path / "clips" / "a.npz")
    talking(500, 1).save(tmp_path / "clips" / "deeper" / "a.npz")  # of the same name
    code, _, err = learn(tmp_path / "clips", tmp_path / "ada", steps=1)
    assert code == 0 and "are little" not in err
    header = load_checkpoint(tmp_path / "ada" / "denoiser.safetensors", KIND)[1]
    assert (header["seconds"], header["sources"]) == (60.0, ["a.npz", "a.npz"])


def test_the_card_is_written_last(learn, clip, tmp_path, monkeypatch):
    """Where that fails the weights are whole, and the same command finishes."""
    person, seen, card = tmp_path / "ada", [], command._card

    def failing(*arguments):
        seen.append(names(person))
        raise Fd2TalkError("no more space")

    monkeypatch.setattr(command, "_card", failing)
    assert learn(clip, person)[0] == 1 and "README.md" not in seen[0]
    assert names(person) == {"denoiser.safetensors", ".personalise"}
    monkeypatch.setattr(command, "_card", card)
    assert learn(clip, person)[0] == 0 and names(person) == FINISHED


def test_a_stopped_call_is_continued(run, learn, refused, stopping, clip, weights, audio, tmp_path):
    person, out = tmp_path / "ada", tmp_path / "m.npz"
    assert learn(clip, person, steps=4)[0] == 130
    assert names(person) == {".personalise"}
    base = ("motion", audio, "-o", out, "--weights", weights, "--person", person)
    refused(*base, folder=tmp_path, saying=f"{person} is no folder of `fd2talk personalise`")
    stopping()
    assert learn(clip, person, steps=4)[0] == 0 and names(person) == FINISHED
    assert learn(clip, tmp_path / "whole", steps=4)[0] == 0
    assert same(tensors(person), tensors(tmp_path / "whole"))


def test_the_person_before_stays_until_the_new_one_is_finished(learn, refused, weights, stopping, clip, tmp_path):
    person = tmp_path / "ada"
    assert learn(clip, person, steps=2)[0] == 0
    before = {name: (person / name).read_bytes() for name in FINISHED}
    talking(75, 1).save(tmp_path / "other.npz")
    base = ("personalise", tmp_path / "other.npz", "-o", person, "--weights", weights)
    refused(*base, folder=tmp_path, saying="already exists (use --overwrite)")
    refused("personalise", tmp_path / "no.npz", *base[2:], "--overwrite", folder=tmp_path, saying="no such file")
    assert {name: (person / name).read_bytes() for name in FINISHED} == before
    assert learn(tmp_path / "other.npz", person, "--overwrite", "--name", "Bea", steps=4)[0] == 130
    assert {name: (person / name).read_bytes() for name in FINISHED} == before
    stopping()
    assert learn(tmp_path / "other.npz", person, "--overwrite", "--name", "Bea", steps=4)[0] == 0
    assert names(person) == FINISHED and "Whose: Bea" in (person / "README.md").read_text()
    assert not same(tensors(person), load_checkpoint_of(before, tmp_path))


def load_checkpoint_of(files, folder):
    (folder / "old.safetensors").write_bytes(files["denoiser.safetensors"])
    return load_checkpoint(folder / "old.safetensors", KIND)[0]


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    ("there", "saying"),
    [(("notes.txt",), "it holds something else than a person"),
     (("training/data.csv",), "it holds something else than a person"),
     (("README.md", ".personalise/about.txt"), "its README.md is not of `fd2talk personalise`"),
     (("README.md", "denoiser.safetensors", "training/a.npz"), "its README.md is not of `fd2talk personalise`"),
     (("denoiser.safetensors",), "its denoiser.safetensors is not of `fd2talk personalise`"),
     ((".personalise/run/best/x",), "its .personalise is not of `fd2talk personalise`")],
)  # fmt: skip
def test_a_folder_with_something_else_is_refused(refused, weights, clip, tmp_path, there, saying, options):
    folder = tmp_path / "project"
    for name in there:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    arguments = ("personalise", clip, "-o", folder, "--weights", weights, *options)
    refused(*arguments, folder=tmp_path, saying=saying)
    assert all((folder / name).read_text() == "mine" for name in there)


def test_weights_of_everybody_are_not_overwritten(refused, weights, clip, tmp_path):
    base = ("personalise", clip, "-o", weights, "--weights", weights, "--overwrite")
    refused(*base, folder=tmp_path, saying="its denoiser.safetensors is not of `fd2talk personalise`")


def test_only_what_was_written_is_removed(learn, refused, stopping, clip, weights, tmp_path):
    """Files that the user put beside it stay; clips in it are refused."""
    person = tmp_path / "ada"
    assert learn(clip, person, steps=4)[0] == 130
    mine = {person / "notes.txt", person / "training" / "clip.mp4", person / ".personalise" / "mine.txt"}
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    source = person / "training" / "clip.mp4"
    for options in ((), ("--overwrite",)):
        arguments = ("personalise", source, "-o", person, "--weights", weights, *options)
        refused(*arguments, folder=tmp_path, saying=f"{source} lies in it")
    stopping()
    assert learn(clip, person, steps=4)[0] == 0
    assert {path for path in person.rglob("*") if path.is_file()} == mine | {person / name for name in FINISHED}


def test_files_that_cannot_be_used_are_left_out(learn, tmp_path):
    folder = tmp_path / "clips"
    (folder / ".trash").mkdir(parents=True)
    for name, changes in (("silent", {"audio": None}), ("unknown", {"identity": None})):
        talking(**changes).save(folder / f"{name}.npz")
    for name in ("._clip.mp4", ".trash/old.npz", "broken.mp4", "broken.npz"):
        (folder / name).write_bytes(b"what")
    (folder / "empty.mp4").touch()
    code, _, err = learn(folder, tmp_path / "ada")
    assert code == 2 and "none of 3 files can be used" in err.splitlines()[-1] and not (tmp_path / "ada").exists()
    talking(75).save(folder / "good.npz")
    code, _, err = learn(folder, tmp_path / "ada", steps=1)
    assert code == 0 and all(f"note: left out: {text}" in err.replace("cannot read ", "") for text in (
        f"{folder}/silent.npz: without sound", f"{folder}/unknown.npz: the shape", f"{folder}/broken.mp4",
        f"{folder}/broken.npz", f"{folder}/empty.mp4"))  # fmt: skip
    assert err.count("left out") == 5
    assert load_checkpoint(tmp_path / "ada" / "denoiser.safetensors", KIND)[1]["sources"] == ["good.npz"]
    assert "step/s" not in err  # there is no bar without a terminal


def test_what_is_no_clip_of_a_person_is_one_line(refused, weights, clip, photo, tmp_path):
    """Nothing is written, not even a folder."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "empty").mkdir()
    for name, changes in (("silent", {"audio": None}), ("unknown", {"identity": None}), ("short", {"frames": 8}),
                          ("foreign", {"face_model": "flame:0123456789abcdef"})):  # fmt: skip
        talking(**changes).save(made / f"{name}.npz")
    np.savez(made / "arrays.npz", x=np.zeros(3))
    with VideoWriter(made / "silent.mp4", (64, 64)) as video:
        video.write(np.zeros((64, 64, 3), np.uint8))
    base = ("-o", tmp_path / "ada", "--weights", weights)
    for source, saying in (
        ("no.mp4", "no such file"),
        ("empty", "neither videos nor motion files"),
        ("silent.npz", "without sound nothing can be learned about speech"),
        ("silent.mp4", "the video has no sound, without which nothing can be learned about speech"),
        ("unknown.npz", "the shape of the person's face is not known"),
        ("foreign.npz", "the motion belongs to face model flame:0123456789abcdef"),
        ("short.npz", "no clip has 12 frames"),
        ("arrays.npz", "not a motion file"),
    ):
        refused("personalise", made / source, *base, folder=tmp_path, saying=saying)
    refused("personalise", photo, *base, folder=tmp_path, saying="is a photo")
    refused("personalise", clip, *base, "--face-index", 0, folder=tmp_path, saying="no faces to choose from")
    refused("personalise", clip, "-o", clip / "ada", "--weights", weights, folder=tmp_path, saying="is not a folder")
    refused("personalise", clip, "-o", clip, "--weights", weights, folder=tmp_path, saying="it is a file, not a folder")
    (tmp_path / "dpt").mkdir()
    other = write_diffposetalk(tmp_path / "dpt")
    refused("personalise", clip, *base[:2], "--weights", other, folder=tmp_path, saying="not of diface")


@pytest.fixture
def video(tmp_path, monkeypatch):
    """A video with sound whose face is known; how often it was tracked."""
    folder, tracked = tmp_path / "videos", []
    folder.mkdir()
    with VideoWriter(folder / "clip.mp4", (64, 64), audio=tone(3, 16000)) as writer:
        for _ in range(75):
            writer.write(np.zeros((64, 64, 3), np.uint8))

    def tracking(path, model, face):
        tracked.append(path)
        return talking(75, len(tracked))

    monkeypatch.setattr("fd2talk.commands.inputs.video_motion", tracking)
    return folder / "clip.mp4", tracked


def test_a_clip_is_tracked_once(learn, stopping, video, tmp_path):
    """Also by the call that continues, which learns from the same, even where the output lies in the source."""
    path, tracked = video
    person = path.parent / "ada"
    assert learn(path.parent, person, steps=4)[0] == 130
    assert len(tracked) == 1 and names(person) == {".personalise"}
    stopping()
    code, _, err = learn(path.parent, person, steps=4)
    assert code == 0 and len(tracked) == 1 and names(person) == FINISHED and "no motion file" not in err
    assert load_checkpoint(person / "denoiser.safetensors", KIND)[1]["sources"] == ["clip.mp4"]
    tracked.clear()
    assert learn(path, tmp_path / "whole", steps=4)[0] == 0
    assert same(tensors(person), tensors(tmp_path / "whole"))


def test_another_clip_of_the_name_is_tracked_anew(learn, stopping, video, tmp_path):
    path, tracked = video
    learn(path, tmp_path / "ada", steps=4)
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    stopping()
    assert learn(path, tmp_path / "ada", steps=4)[0] == 0 and len(tracked) == 2


@pytest.mark.parametrize("command", ["motion", "generate"])
def test_what_is_no_person_is_one_line(refused, weights, photo, audio, tmp_path, command):
    for name in ("unfinished", "other", "encoder", "face", "dpt", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "unfinished" / ".personalise").mkdir()
    write_diface(tmp_path / "encoder", speech_encoder="0123", person="Ada")
    write_diface(tmp_path / "face", face_model="flame:0123", person="Ada")
    write_diffposetalk(tmp_path / "dpt")
    (tmp_path / "damaged" / "denoiser.safetensors").write_bytes(b"what")
    inputs, out = ((audio,), "o.npz") if command == "motion" else ((photo, audio), "o.mp4")
    base = (command, *inputs, "-o", tmp_path / out, "--weights")
    cases = (
        ("missing", "missing' is no folder"),
        ("unfinished", "unfinished is no folder of `fd2talk personalise`: it has no denoiser.safetensors"),
        ("other", "other is no folder of `fd2talk personalise`"),
        ("damaged/denoiser.safetensors", "denoiser.safetensors' is no folder"),
        ("encoder", "encoder: the weights belong to another speech encoder"),
        ("face", "the denoiser belongs to face model flame:0123"),
        ("dpt", "weights of kind DiffPoseTalk denoiser, not 3DiFACE denoiser"),
        ("damaged", "not the weights of a 3DiFACE denoiser"),
    )
    for name, saying in cases if command == "motion" else cases[1:7:5]:  # a photo is fitted each time
        refused(*base, weights, "--person", tmp_path / name, folder=tmp_path, saying=saying)
    refused(*base, weights, "--person", "", folder=tmp_path, saying="'' is no folder")
    saying = "is no folder of `fd2talk personalise`: its weights are those of everybody"
    refused(*base, weights, "--person", weights, folder=tmp_path, saying=saying)
    (tmp_path / "encoder" / "model.yaml").unlink()
    refused(*base, tmp_path / "encoder", folder=tmp_path, saying="if it is a person's, use --person")
    saying = "the motion model diffposetalk has no weights of single persons"
    refused(*base, tmp_path / "dpt", "--person", weights, folder=tmp_path, saying=saying)
    saying = "the motion model fd2talk has no weights of single persons"
    refused(*base, "bundled", "--model", "fd2talk", "--person", weights, folder=tmp_path, saying=saying)
