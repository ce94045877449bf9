"""3DiFACE's weights as a motion model: seeds, tails, constraints, and what cannot be loaded."""

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tiny_diface import write_diface
from tiny_diffposetalk import write_diffposetalk

from shared.checkpoint import load_checkpoint, save_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.media import read_audio
from shared.weights import bundled
from stage1_motion.editing.ramp import FACE_REACH, HEAD_REACH
from stage1_motion.interface import Constraint, Known, SamplingOptions, Speech, Subject, Tail
from stage1_motion.models.diface import model as module
from stage1_motion.models.diface import sampling
from stage1_motion.models.diface.model import KIND, load
from stage1_motion.motion_space import MotionSpace
from stage1_motion.parts import PARTS, projectors
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.speech_events import SpeechEvents

FACE = load_bundled()
FRAMES = 50
SUBJECT = Subject.of(None, FACE)
STD = np.full(FACE.num_expression, 0.5, np.float32), np.full(6, 0.02, np.float32)  # of `write_diface`
PROJECTORS = projectors(MotionSpace(FACE, *STD))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_diface(tmp_path_factory.mktemp("diface"))


@pytest.fixture(scope="module")
def audio():
    return read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[: 2 * 16000]


@pytest.fixture(scope="module")
def pipeline(folder):
    return MotionPipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def sample(pipeline, audio):
    """Sample the model: arguments of `MotionModel.sample`, and `seed`."""
    speech = pipeline.frontend(audio)

    def sample(seed=0, **arguments):
        generator = torch.Generator().manual_seed(seed)
        return pipeline.model.sample(arguments.pop("speech", speech), SUBJECT, generator=generator, **arguments)

    return sample


def known(mask, seed=5):
    """Random motion, of which the mask says what is given."""
    random = np.random.default_rng(seed)
    expression, pose = (random.normal(size=(len(mask), n)).astype(np.float32) for n in (FACE.num_expression, 6))
    return Known(expression, pose, mask)


def test_the_same_seed_gives_the_same_motion(pipeline, audio):
    motion = pipeline(audio, seed=1)
    assert len(motion) == FRAMES and np.isfinite(motion.expression).all() and motion.rotation.std() > 0
    assert np.array_equal(motion.expression, pipeline(audio, seed=1).expression)
    assert np.array_equal(motion.rotation, pipeline(audio, seed=1).rotation)
    other = pipeline(audio, seed=2)
    assert not np.allclose(motion.expression, other.expression, atol=1e-2)
    assert not np.allclose(motion.rotation, other.rotation, atol=1e-3)
    assert motion.source == "diface, seed 1"


def test_options_of_the_sampler(sample, pipeline):
    """What is not given is the weights' own: two steps of DDIM, s = 1."""
    default = sample().expression
    same = SamplingOptions(steps=2, guidance=1.0, eta=0.0)
    assert np.array_equal(default, sample(options=same).expression)
    for changed in ({"steps": 3}, {"guidance": 0.5}, {"eta": 1.0}, {"solver": "renoise", "steps": 2}):
        assert not np.allclose(default, sample(options=SamplingOptions(**changed)).expression, atol=1e-3), changed
    assert np.array_equal(default, sample(options=SamplingOptions(solver="ddim")).expression)
    with pytest.raises(UsageError, match="trained with 500 steps"):
        sample(options=SamplingOptions(steps=501))


def test_renoising_takes_as_many_steps_as_in_training_unless_it_is_told(sample, monkeypatch):
    asked = []

    def generated(network, speech, frames, person, **options):
        asked.append((options["solver"], options["steps"]))
        return iter([(0, torch.zeros(frames, network.config.coordinates))])

    monkeypatch.setattr(module, "generate", generated)
    for options in ({"solver": "renoise"}, {"solver": "renoise", "steps": 7}, {"eta": 0.5}, {}):
        sample(options=SamplingOptions(**options))
    assert asked == [("renoise", 500), ("renoise", 7), (None, 2), (None, 2)]


def test_without_guidance_nothing_is_heard(sample, pipeline, audio):
    """Unconditional synthesis: another recording gives the same motion."""
    other = pipeline.frontend(np.ascontiguousarray(audio[::-1]))
    silent = SamplingOptions(guidance=0.0)
    assert np.array_equal(sample(options=silent).expression, sample(options=silent, speech=other).expression)
    assert not np.allclose(sample().expression, sample(speech=other).expression, atol=1e-3)


def test_given_frames_come_back(sample, pipeline):
    """Whole frames, and the head of one: their values are there, and shape what is generated beside them."""
    mask = np.zeros((FRAMES, 4), bool)
    mask[[10, 11, 30]] = True
    given = known(mask)
    free, found = sample(), sample(constraint=given)
    assert np.allclose(found.expression[mask[:, 0]], given.expression[mask[:, 0]], atol=1e-3)
    assert np.allclose(found.pose[mask[:, 3]], given.pose[mask[:, 3]], atol=1e-4)
    change = np.abs(found.expression - free.expression).max(1)
    assert change[[9, 12, 29, 31]].min() > 1e-3
    assert np.allclose(sample(constraint=known(np.zeros((FRAMES, 4), bool))).expression, free.expression)


@pytest.mark.parametrize("part", range(4))
def test_given_parts_come_back(sample, pipeline, part):
    """As far as the face model can move a part alone (`projectors`); what belongs to other parts stays free."""
    mask = np.zeros((FRAMES, 4), bool)
    mask[20, part] = True
    one, other = known(mask), known(mask, seed=6)
    step = SamplingOptions(steps=1)  # in which the prediction itself does not depend on what is given
    found, changed = (sample(constraint=given, options=step) for given in (one, other))
    free = sample(options=step)
    apart = (found.expression - changed.expression)[20]
    if PARTS[part] == "head":
        assert np.allclose(found.pose[20], one.pose[20], atol=1e-4)
        assert np.allclose(found.expression, free.expression, atol=1e-4)
    else:
        assert np.allclose(apart, (one.expression - other.expression)[20] @ PROJECTORS[part], atol=1e-2)
        assert np.abs(apart).max() > 0.1 and np.allclose(found.pose, free.pose, atol=1e-5)
    far = np.abs(np.arange(FRAMES) - 20) >= max(FACE_REACH, HEAD_REACH)
    assert np.allclose(found.expression[far], free.expression[far], atol=1e-4)


def test_given_lips_are_where_they_are_given(sample, pipeline):
    """Of all steps; in mm at the lips."""
    mask = np.zeros((FRAMES, 4), bool)
    mask[20, 0] = True
    given, free = known(mask), sample().expression
    made, was, wanted = (
        pipeline.model.space.displacements(expression)[20, FACE.groups["lips"]]
        for expression in (sample(constraint=given).expression, free, given.expression)
    )
    assert np.linalg.norm(made - wanted, axis=-1).mean() < 0.3 * np.linalg.norm(was - wanted, axis=-1).mean()


def test_chunks_equal_one_pass_with_what_is_given(sample, pipeline, monkeypatch):
    """A given head fades for a second, so that a step reaches further than the network does."""
    frames = 600
    random, mask = np.random.default_rng(0), np.zeros((frames, 4), bool)
    for end in range(100, frames, 100):  # of the chunks: two steps of the network reach from -16, but not from -34
        mask[[end - 34, end - 16], 3] = True
        mask[end + 5, 0] = mask[end + 20] = True
    features = random.normal(size=(frames, pipeline.model.speech_features)).astype(np.float32)
    heard = SpeechEvents(np.ones(frames, np.float32), np.zeros(frames, np.float32))
    speech, given = Speech(features, heard, np.zeros(frames * 640, np.float32)), known(mask)
    whole = sample(speech=speech, constraint=given)
    monkeypatch.setattr(sampling, "_CHUNK", 100)
    monkeypatch.setattr(module, "generate", partial(sampling.generate, one_pass=200))
    parts = sample(speech=speech, constraint=given)
    assert np.allclose(whole.expression, parts.expression, atol=1e-3)
    assert np.allclose(whole.pose, parts.pose, atol=5e-5, rtol=0)


@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_head_does_not_swing_beyond_a_key_at_the_edge(audio, at, axis):
    """Bundled weights, whose convolutions see nothing outside: held there, the key is the extreme that it is inside."""
    pipeline = MotionPipeline.from_pretrained(model="diface")
    motion = pipeline(audio, seed=1)
    rotation, mask = motion.rotation.copy(), np.zeros((FRAMES, 4), bool)
    rotation[at], mask[at, 3] = np.radians(15) * np.eye(3)[axis], True
    key = Constraint(replace(motion, rotation=rotation.astype(np.float32)), mask)
    angle = np.degrees(pipeline.edit(motion, audio, key, seed=2).rotation[:, axis])
    assert angle[at] == pytest.approx(15, abs=1e-3) and angle.max() < 15.5
    assert np.abs(np.diff(angle)).max() < 2  # nor jump away from it


def test_all_parts_one_by_one_are_the_whole(sample):
    mask = np.zeros((FRAMES, 4), bool)
    mask[20, :3] = True
    given = known(mask)
    found = sample(constraint=given)
    assert np.allclose(found.expression[20], given.expression[20], atol=1e-3)
    assert not np.allclose(found.pose[20], given.pose[20], atol=0.1)


@pytest.mark.parametrize("frames", [1, 7])
def test_the_tail_is_continued(sample, pipeline, audio, frames):
    """What follows is as if the tail had been given before it; as many frames as the new speech has."""
    heard = pipeline.frontend(audio)
    tail = Tail(np.full((frames, FACE.num_expression), 2, np.float32), np.full((frames, 6), 2, np.float32),
                heard.features[-frames:])  # fmt: skip
    other = Tail(-tail.expression, -tail.pose, tail.speech)
    seen = []
    found = sample(tail=tail, progress=lambda done, total: seen.append((done, total)))
    assert len(found.expression) == len(found.pose) == FRAMES and seen == [(FRAMES, FRAMES)]
    change = np.abs(found.pose - sample(tail=other).pose).max(1)
    assert change[0] > 1e-2 and change[0] > 10 * change[40]
    mask = np.zeros((FRAMES, 4), bool)
    mask[5] = True
    both = sample(tail=tail, constraint=known(mask))
    assert np.allclose(both.expression[5], known(mask).expression[5], atol=1e-3)  # the frames' own numbers
    assert not np.allclose(both.pose[0], sample(constraint=known(mask)).pose[0], atol=1e-2)


def test_it_streams(pipeline, audio):
    """The same motion for blocks of any size."""

    def streamed(block):
        stream = pipeline.stream(seed=3)
        pieces = [stream.push(audio[start : start + block]) for start in range(0, len(audio), block)]
        return np.concatenate([piece.expression for piece in [*pieces, stream.flush()] if piece is not None])

    found = streamed(320)
    assert len(found) == FRAMES and np.array_equal(found, streamed(7777))


def test_a_model_without_a_head_holds_it_still(folder, audio, tmp_path):
    tensors, header = load_checkpoint(folder / "denoiser.safetensors", KIND)
    for name, value in tensors.items():
        if name in ("motion_decoder.weight", "motion_decoder.bias"):
            tensors[name] = value[:-6]
    tensors["motion_encoder.weight"] = tensors["motion_encoder.weight"][:, :-6]
    header["config"]["coordinates"] -= 6
    shutil.copytree(folder, tmp_path / "still")
    save_checkpoint(tmp_path / "still" / "denoiser.safetensors", tensors=tensors, **{**header, "head": False})
    pipeline = MotionPipeline.from_pretrained(tmp_path / "still")
    speech = pipeline.frontend(audio)
    mask = np.zeros((FRAMES, 4), bool)
    mask[20] = True
    given = known(mask)
    found = pipeline.model.sample(speech, SUBJECT, constraint=given, generator=torch.Generator().manual_seed(0))
    assert found.pose is None and np.allclose(found.expression[20], given.expression[20], atol=1e-3)


def test_a_person_s_weights_are_used_instead(folder, audio, tmp_path):
    person = write_diface(tmp_path, seed=1, person="Ada")
    (person / "model.yaml").unlink()  # a person's folder has none
    own = MotionPipeline.from_pretrained(folder, person=person)(audio).expression
    assert not np.allclose(own, MotionPipeline.from_pretrained(folder)(audio).expression, atol=1e-3)


def damaged(folder):
    path = folder / "denoiser.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def foreign_kind(folder):
    write_diffposetalk(folder / "other")
    shutil.copy(folder / "other" / "denoiser.safetensors", folder / "denoiser.safetensors")


@pytest.mark.parametrize(("spoil", "message"), [
    (damaged, "not the weights of a 3DiFACE denoiser"),
    (lambda folder: (folder / "denoiser.safetensors").unlink(), "no such file; it should|it has no denoiser"),
    (foreign_kind, "weights of kind DiffPoseTalk denoiser, not 3DiFACE denoiser"),
    (lambda folder: write_diface(folder, face_model="flame:0123", person=""), "belongs to face model flame:0123"),
    (lambda folder: write_diface(folder, speech_encoder="0123", person=""), "belong to another speech encoder"),
    (lambda folder: write_diface(folder, sampler={"stepz": 3}), "not the weights of a 3DiFACE denoiser"),
    (lambda folder: write_diface(folder, config={"width": 8}), "not the weights of a 3DiFACE denoiser"),
])  # fmt: skip
@pytest.mark.parametrize("of", ["folder", "person"])
def test_what_cannot_be_loaded_is_one_line(folder, tmp_path, spoil, message, of):
    (tmp_path / "other").mkdir()
    write_diface(tmp_path, person="Ada")
    spoil(tmp_path)
    arguments = (tmp_path,) if of == "folder" else (folder,)
    with pytest.raises(InputError, match=message) as caught:
        MotionPipeline.from_pretrained(*arguments, person=tmp_path if of == "person" else None)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_missing_entry_of_the_header_is_one_line(folder, tmp_path):
    tensors, header = load_checkpoint(folder / "denoiser.safetensors", KIND)
    for name in ("config", "scale", "head", "sampler", "fps", "loss", "face_model", "expression_std"):
        rest = {key: value for key, value in header.items() if key != name}
        save_checkpoint(tmp_path / "denoiser.safetensors", tensors=tensors, **rest)
        with pytest.raises(InputError, match=f"not the weights of a 3DiFACE denoiser .'{name}'"):
            load(tmp_path, FACE)
    assert load(folder, FACE).fps == 25
