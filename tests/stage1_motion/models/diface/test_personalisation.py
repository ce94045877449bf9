"""Fine-tuning of 3DiFACE on one person: what is learned from, and what stays as it was."""

import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tiny_diface import talking, write_diface

from shared.checkpoint import load_checkpoint
from shared.errors import InputError
from shared.face_model import load_bundled
from stage1_motion.models.diface import personalisation
from stage1_motion.models.diface.model import KIND, load
from stage1_motion.models.diface.personalisation import PersonTask, Settings, person_clips, personalise
from stage1_motion.motion_space import normalise_speech
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.speech_frontend import LogMel, SpeechFrontend

pytestmark = pytest.mark.filterwarnings("ignore:.* little to learn a person from")
FACE = load_bundled()
FRONTEND = SpeechFrontend(LogMel())
QUICK = Settings(steps=4, batch_size=4)


@pytest.fixture(autouse=True)
def few_crops(monkeypatch):
    monkeypatch.setattr(personalisation, "_CROPS", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_diface(tmp_path_factory.mktemp("diface"))


@pytest.fixture
def base(folder):
    return load(folder, FACE)


def frames_of(clips):
    return [len(clip.speech) for clip in clips]


def test_the_last_fifth_of_a_clip_is_held_out(base):
    whole = talking()
    (learned,), (held_out,) = person_clips(base, FRONTEND, [whole])
    heard = FRONTEND(whole.audio)
    speech = normalise_speech(heard.features, heard.events.speaks)  # of the whole clip
    for clip, start, stop in ((learned, 0, 80), (held_out, 80, 100)):
        assert np.array_equal(clip.speech, speech[start:stop])
        assert np.array_equal(clip.motion.expression, whole.expression[start:stop])
        assert np.array_equal(clip.motion.rotation, whole.rotation[start:stop])


def test_of_each_of_a_few_clips_and_the_last_of_many(base):
    few = [talking(100, 0), talking(30, 1), talking(200, 2)]  # a fifth of 30 frames is too short
    learned, held_out = person_clips(base, FRONTEND, few)
    assert (frames_of(learned), frames_of(held_out)) == ([80, 30, 160], [20, 40])
    many = [talking(40 + n, n) for n in range(6)]
    learned, held_out = person_clips(base, FRONTEND, many)
    assert (frames_of(learned), frames_of(held_out)) == ([40, 41, 42, 43, 44], [45])
    assert len({clip.name for clip in [*learned, *held_out]}) == 6
    for clips in (few, many):
        learned, held_out = person_clips(base, FRONTEND, clips, hold_out=False)
        assert frames_of(learned) == [len(clip) for clip in clips] and held_out == []


def test_sound_that_ends_earlier_and_frames_without_a_face(base):
    short = talking(100, audio=np.full(60 * 640, 0.1, np.float32))
    assert frames_of(person_clips(base, FRONTEND, [short], False)[0]) == [60]
    confidence = np.ones(100)
    confidence[[20, 25, 60]] = 0
    seen = person_clips(base, FRONTEND, [talking(100, confidence=confidence)], False)[0]
    assert frames_of(seen) == [20, 34, 39]  # the four between 20 and 25 are too few
    assert np.array_equal(seen[1].motion.expression, talking(100).expression[26:60])


def test_the_model_s_own_frame_rate(folder, tmp_path):
    base = load(write_diface(tmp_path, fps=30.0), FACE)
    (clip,), _ = person_clips(base, FRONTEND, [talking(100)], False)
    assert clip.motion.fps == 30 and len(clip.speech) == len(clip.motion) == 120
    personalise(base, FRONTEND, [talking(100)], tmp_path / "run", settings=QUICK)
    assert load(tmp_path / "run" / "best", FACE).fps == 30


@pytest.mark.parametrize(("changes", "message"), [
    ({"audio": None}, "0.mp4: without sound"), ({"identity": None}, "0.mp4: the shape of the person's face"),
    ({"confidence": np.zeros(100)}, "no clip has 12 frames"), ({"frames": 11}, "no clip has 12 frames"),
])  # fmt: skip
def test_what_cannot_be_learned_from(base, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        personalise(base, FRONTEND, [talking(**changes)], tmp_path / "run", settings=QUICK)
    assert not (tmp_path / "run").exists()


def test_it_starts_where_the_base_is(base):
    """The person's vector is what the base uses for somebody unknown; the objective is the base's."""
    task = PersonTask(base, *person_clips(base, FRONTEND, [talking()]), {})
    x, speech = torch.randn(1, 10, base.network.config.coordinates), torch.randn(1, 10, 40)
    arguments = x, torch.tensor([250]), speech
    network = task.model.eval()
    with torch.no_grad():
        expected = base.network(*arguments, base.person[None])
        assert torch.equal(network(*arguments, network.person(torch.tensor([0]))), expected)
    assert torch.equal(task.person(network), base.person)
    assert task.frames == 8 and task.sampler == base.sampler and task.people == ["person"]


def test_the_held_out_loss_is_always_the_same(base):
    task = PersonTask(base, *person_clips(base, FRONTEND, [talking()]), {})
    first = task.validate(task.model)
    assert first == task.validate(task.model) and first["score"] == -first["loss"]
    other = PersonTask(base, *person_clips(base, FRONTEND, [talking(seed=1)]), {})
    assert other.validate(other.model) != first


def test_all_weights_learn_and_the_base_s_stay(base, folder, tmp_path):
    stored = (folder / "denoiser.safetensors").read_bytes()
    before = {name: value.clone() for name, value in base.network.state_dict().items()}
    found = personalise(base, FRONTEND, [talking()], tmp_path, settings=QUICK, card={"person": "Ada"})
    assert found["loss"] < found["base"]
    assert all(torch.equal(value, before[name]) for name, value in base.network.state_dict().items())
    assert (folder / "denoiser.safetensors").read_bytes() == stored
    tensors, header = load_checkpoint(tmp_path / "best" / "denoiser.safetensors", KIND)
    assert header["person"] == "Ada" and header["speech_encoder"] == "log-mel" and header["config"]["people"] == 1
    same = {name for name, value in before.items() if name != "person.weight" and torch.equal(tensors[name], value)}
    assert same == set()
    assert torch.equal(tensors["sampled_person"], tensors["person.weight"][0])
    person = load(folder, FACE, person=tmp_path / "best")
    assert (person.sampler, person.fps, person.loss["frames"]) == (base.sampler, base.fps, 8)
    audio = talking().audio
    own, everybody = (MotionPipeline(FRONTEND, model)(audio, seed=1).expression for model in (person, base))
    assert not np.allclose(own, everybody, atol=1e-3)


def test_weights_of_the_empty_condition_learn_too(tmp_path):
    """And those from before there were any are fine-tuned without them, as everywhere here."""
    base = load(write_diface(tmp_path, unconditional_width=16, loss={"frames": 8, "speech_dropout": 0.5}), FACE)
    before = {name: value.clone() for name, value in base.network.unconditional.state_dict().items()}
    personalise(base, FRONTEND, [talking()], tmp_path / "run", settings=QUICK)
    person = load(tmp_path, FACE, person=tmp_path / "run" / "best").network
    after = person.unconditional.state_dict()
    assert not any(torch.equal(value, after[name]) for name, value in before.items())
    assert not torch.equal(person.motion_encoder.weight, base.network.motion_encoder.weight)


def test_without_held_out_time_the_last_weights_count(base, tmp_path):
    settings = Settings(steps=3, batch_size=4, held_out=False)
    personalise(base, FRONTEND, [talking(30)], tmp_path, settings=settings)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    tensors, _ = load_checkpoint(tmp_path / "best" / "denoiser.safetensors", KIND)
    assert state["step"] == 3
    assert torch.allclose(tensors["motion_encoder.weight"], state["averaged"]["motion_encoder.weight"], atol=1e-3)


@pytest.mark.parametrize(("frames", "little"), [(1499, True), (1500, False)])
def test_less_than_a_minute_is_said(base, tmp_path, frames, little):
    """Of what can be learned from: the first clip has no more sound."""
    clips = [talking(600, audio=np.full(500 * 640, 0.1, np.float32)), talking(frames - 500, 1)]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        personalise(base, FRONTEND, clips, tmp_path, settings=Settings(steps=1, batch_size=4))
    assert any("60 s are little to learn a person from" in str(one.message) for one in found) == little


@pytest.fixture
def stopping(monkeypatch):
    """Ctrl-C in the third step; every step is a checkpoint."""

    def start():
        config, loss = personalisation.TrainingConfig, PersonTask.loss
        calls = []

        def stopped(task, model, batch):
            calls.append(model.training)
            if sum(calls) == 3:
                raise KeyboardInterrupt
            return loss(task, model, batch)

        with monkeypatch.context() as patch:
            patch.setattr(personalisation, "TrainingConfig", lambda **values: config(**{**values, "save_every": 0}))
            patch.setattr(PersonTask, "loss", stopped)
            yield

    return contextmanager(start)


def weights(folder):
    return load_checkpoint(folder / "best" / "denoiser.safetensors", KIND)[0]


def test_a_stopped_fine_tuning_resumes_to_the_same_weights(base, tmp_path, stopping):
    expected = personalise(base, FRONTEND, [talking()], tmp_path / "whole", settings=QUICK)
    with stopping(), pytest.raises(KeyboardInterrupt):
        personalise(base, FRONTEND, [talking()], tmp_path / "stopped", settings=QUICK)
    assert torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)["step"] == 2
    assert personalise(base, FRONTEND, [talking()], tmp_path / "stopped", settings=QUICK) == expected
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.parametrize("change", ["clips", "steps", "card", "base"])
def test_another_fine_tuning_in_the_same_folder_begins_anew(base, tmp_path, stopping, change):
    with stopping(), pytest.raises(KeyboardInterrupt):
        personalise(base, FRONTEND, [talking()], tmp_path / "run", settings=QUICK, card={"person": "Ada"})
    if change == "base":
        base = load(write_diface(tmp_path, seed=1), FACE)
    clips = [talking(seed=int(change == "clips"))]
    settings = Settings(steps=2 if change == "steps" else 4, batch_size=4)
    card = {"person": "Bea" if change == "card" else "Ada"}
    for output in ("run", "fresh"):
        personalise(base, FRONTEND, clips, tmp_path / output, settings=settings, card=card)
    found, expected = weights(tmp_path / "run"), weights(tmp_path / "fresh")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
