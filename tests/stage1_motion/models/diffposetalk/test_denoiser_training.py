"""Two windows with crossed styles, eq. 6 written out, and weights that are trained, loaded and sampled."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.media import read_audio
from shared.motion import Motion
from shared.splits import is_development
from shared.training.config import TrainingConfig
from shared.training.loop import train
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.losses.geometric import GeometricWeights
from stage1_motion.models.diffposetalk.denoiser_training import DiffPoseTalkTask
from stage1_motion.models.diffposetalk.model import Sampler
from stage1_motion.models.diffposetalk.network import DenoiserConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.style.encoder import StyleEncoder, StyleEncoderConfig, StyleReader
from stage1_motion.training.clips import Clip

FRAMES, SPEECH, T_W, T_P = 70, 256, 20, 6
MODEL = load_bundled()
COUNT = MODEL.num_expression
RANDOM = np.random.default_rng(1)
SPACE = MotionSpace(
    MODEL, RANDOM.uniform(0.5, 1, COUNT).astype(np.float32), RANDOM.uniform(0.01, 0.05, 6).astype(np.float32)
)


def clips(frames=FRAMES):
    """Noise of four people, one of them a development person."""
    random = np.random.default_rng(0)
    people = [f"person {i}" for i in range(12)]
    people = [p for p in people if is_development(p)][:1] + [p for p in people if not is_development(p)][:3]
    result = []
    for person in people:
        motion = Motion(
            expression=random.normal(size=(frames, COUNT)).astype(np.float32),
            rotation=random.normal(0, 0.05, (frames, 3)).astype(np.float32),
            translation=random.normal(0, 0.05, (frames, 3)).astype(np.float32),
            face_model=MODEL.fingerprint,
            identity=random.normal(size=MODEL.num_identity).astype(np.float32),
        )
        speech = random.normal(size=(frames, SPEECH)).astype(np.float32)
        result.append(Clip(person, person, motion, speech, motion.expression, motion.rotation, 4.8, 0.035))
    return result


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    torch.manual_seed(0)
    rows = (
        torch.from_numpy(np.append(row, np.zeros(6)).astype(np.float32)) for row in (SPACE.gap_row(), SPACE.opening())
    )
    encoder = StyleEncoder(StyleEncoderConfig(COUNT + 6, 8, 1, 2, frames=T_W, shortest=10), *rows).eval()
    path = tmp_path_factory.mktemp("style") / "style_encoder.safetensors"
    encoder.save(path, space=SPACE)
    return StyleReader.load(path, MODEL)


def task(style, frames=FRAMES, **settings):
    torch.manual_seed(0)
    config = DenoiserConfig(COUNT + 6, SPEECH, MODEL.num_identity, 8 if style else 0, width=16, layers=1, heads=2,
                            dropout=0.0, frames=T_W, context=T_P, lookahead=2)  # fmt: skip
    return DiffPoseTalkTask(clips(frames), SPACE, config, style, sampler=Sampler(2, 1.15, 2.5), **settings)


WHOLE = {"style_dropout": 0.0, "condition_dropout": 0.0, "truncation": 0.0, "speech_noise": 0.0}


def batch(task, size=5):
    return task.batch(torch.Generator().manual_seed(0), size)


class Recorder:
    """In the place of the network: remembers what it is called with and predicts zeros, or what it is given."""

    def __init__(self, config, answer=None):
        self.config, self.calls, self.answer = config, [], answer

    def __call__(self, noisy, previous, speech, timestep, **conditions):
        self.calls.append(SimpleNamespace(noisy=noisy, previous=previous, speech=speech, **conditions))
        if self.answer is not None:
            return self.answer
        return torch.zeros(len(noisy), self.config.context + noisy.shape[1], noisy.shape[2])


def test_windows_follow_each_other_and_their_styles_are_crossed(style):
    tested = task(style, **WHOLE)
    drawn, network = batch(tested), Recorder(tested.model.config)
    tested.loss(network, drawn)
    first, second = network.calls
    motion, speech = drawn["motion"], drawn["speech"]
    assert first.previous is None and torch.equal(second.previous, motion[:, T_W - T_P : T_W])
    assert torch.equal(first.speech, speech[:, :T_W]) and torch.equal(second.speech, speech[:, T_W - T_P :])
    with torch.no_grad():
        of_first, of_second = style.encoder(motion[:, :T_W]), style.encoder(motion[:, T_W:])
    assert torch.allclose(first.style, of_second, atol=1e-6) and torch.allclose(second.style, of_first, atol=1e-6)
    assert not torch.allclose(of_first, of_second, atol=1e-3)
    assert not first.no_style.any() and not first.no_speech.any()


def test_noise_is_that_of_the_timestep(style):
    tested = task(style, **WHOLE)
    drawn, network = batch(tested), Recorder(tested.model.config)
    tested.loss(network, drawn)
    for index, call in enumerate(network.calls):
        for b, t in enumerate(drawn[f"timestep_{index}"].tolist()):
            alpha = float(tested.schedule.alphas_cumprod[t])
            clean = drawn["motion"][b, index * T_W : (index + 1) * T_W]
            expected = alpha**0.5 * clean + (1 - alpha) ** 0.5 * drawn[f"noise_{index}"][b]
            assert torch.allclose(call.noisy[b], expected, atol=1e-5)


def test_conditions_are_dropped_as_often_as_in_the_paper(style):
    drawn = batch(task(style), 400)
    for index in range(2):
        no_style, no_speech = drawn[f"no_style_{index}"], drawn[f"no_speech_{index}"]
        assert no_style[no_speech].all()  # speech is dropped with the style only
        assert abs(float(no_speech.float().mean()) - 0.1) < 0.05
        assert abs(float((no_style & ~no_speech).float().mean()) - 0.45) < 0.08
        assert 0.3 < float((drawn[f"frames_{index}"] < T_W).float().mean()) < 0.6


def test_short_clips_have_half_a_sample(style):
    """With 26 frames, the second window has 6 and gives no style; the losses see those frames only."""
    tested = task(style, frames=26, **WHOLE)
    drawn, network = batch(tested), Recorder(tested.model.config)
    losses = tested.window_losses(network, drawn, 1)
    assert (drawn["frames_1"] == 6).all()
    tested.loss(network, drawn)
    assert network.calls[1].no_style.all() and not network.calls[2].no_style.any()
    seen = drawn["motion"][:, T_W - T_P : 26]
    assert float(losses["simple"]) == pytest.approx(float(seen.square().mean()), rel=1e-5)


@pytest.mark.parametrize("translation", [False, True])
def test_equation_6(style, translation):
    """The second window's loss, from vertices in mm and angles in degrees computed by the face model itself."""
    tested = task(style, weights=GeometricWeights(), translation=translation, **WHOLE)
    drawn = batch(tested, 2)
    answer = torch.randn(2, T_P + T_W, COUNT + 6, generator=torch.Generator().manual_seed(3))
    found = tested.window_losses(Recorder(tested.model.config, answer), drawn, 1)
    true = drawn["motion"][:, T_W - T_P :].numpy()
    zero = np.zeros(MODEL.num_identity, np.float32)

    def mesh(x):
        return MODEL.vertices(zero, x[..., :COUNT] * SPACE.expression_std).reshape(2, T_P + T_W, -1)

    def head(x):
        turn = np.degrees(x[..., COUNT : COUNT + 3] * SPACE.pose_std[:3])
        shift = x[..., COUNT + 3 :] * np.degrees(SPACE.pose_std[:3]).mean()  # a typical one counts like a typical turn
        return np.concatenate([turn, shift], axis=-1) if translation else turn

    predicted = answer.numpy()
    expected = {"simple": np.mean((predicted - true) ** 2)}
    for names, of, factors in (
        (("vertices", "velocity", "smooth"), mesh, (2, 10, 0.1)),
        (("head_angle", "head_velocity", "head_smooth"), head, (0.05, 5, 0.5)),
    ):
        ours, theirs = of(predicted), of(true)
        values = (
            np.mean((ours - theirs) ** 2),
            np.mean(((ours[:, 1:] - ours[:, :-1]) - (theirs[:, 1:] - theirs[:, :-1])) ** 2),
            np.mean((ours[:, 2:] - 2 * ours[:, 1:-1] + ours[:, :-2]) ** 2),
        )
        expected |= {name: factor * value for name, factor, value in zip(names, factors, values)}
    seam = np.concatenate([head(true)[:, T_P - 3 : T_P], head(predicted)[:, T_P : T_P + 3]], axis=1)
    speed = seam[:, 1:] - seam[:, :-1]
    change = speed[:, 1:] - speed[:, :-1]
    expected["head_transition"] = 0.5 * (
        np.mean((speed[:, 2:4] - speed[:, 1:3]) ** 2) + np.mean((change[:, 1:4] - change[:, 0:3]) ** 2)
    )
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-3)
    total, parts = tested.loss(Recorder(tested.model.config), drawn)
    assert float(total) == pytest.approx(sum(float(v) for v in parts.values()), rel=1e-5)
    alone = task(style, **WHOLE).window_losses(Recorder(tested.model.config, answer), drawn, 1)
    assert alone.keys() == {"simple"}


def test_predicted_windows_are_to_be_nearest_to_their_own_style(style):
    """Eq. 9's fraction, of the windows that were given a style and are long enough to have one."""
    made = task(style, **WHOLE, style_weight=3.0)
    data = batch(made)
    data["no_style_1"] = torch.tensor([False, True, False, False, False])
    data["frames_1"] = torch.tensor([T_W, T_W, 9, 12, 12])  # nine frames are too few for a style
    predicted = torch.randn(5, T_P + T_W, COUNT + 6, generator=torch.Generator().manual_seed(2))
    found = made.window_losses(Recorder(made.model.config, predicted), data, 1)["style"]
    terms = []
    for item in (0, 3, 4):
        frames = int(data["frames_1"][item])
        window, real = (v[item, start:][:frames].numpy() for v, start in ((predicted, T_P), (data["motion"], T_W)))
        own = torch.from_numpy(style.encoder.encode(window - window.mean(0) + real.mean(0)))
        similar = {other: float(own @ data["style_0"][other]) / 0.1 for other in (0, 3, 4)}
        terms.append(-math.log(math.exp(similar[item]) / sum(math.exp(s) for s in similar.values())))
    assert float(found) == pytest.approx(3 * np.mean(terms), rel=1e-4)


@pytest.fixture(scope="module")
def folder(style, tmp_path_factory):
    """Weights of two steps."""
    output = tmp_path_factory.mktemp("training")
    settings = TrainingConfig(output=str(output), max_steps=2, batch_size=4, validate_every=2, threads=1)
    result = train(task(style, weights=GeometricWeights()), settings)
    assert {"r", "spread", "head_speed"} <= result["validation"].keys()
    return output / "best"


@pytest.fixture(scope="module")
def audio():
    return read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[: 3 * 16000]


def test_trained_weights_generate_motion(folder, audio):
    pipeline = MotionPipeline.from_pretrained(folder)
    motion = pipeline(audio, seed=1)
    assert len(motion) == 75 and np.isfinite(motion.expression).all() and motion.rotation.std() > 0
    assert np.array_equal(motion.expression, pipeline(audio, seed=1).expression)
    assert not np.allclose(motion.expression, pipeline(audio, seed=2).expression)
    one = pipeline.style_of(clips()[1].motion, source="clip.mp4")
    other = pipeline.style_of(clips()[2].motion)
    styled = [pipeline(audio, seed=1, style=s).expression for s in (one, other)]
    assert not np.allclose(*styled, atol=1e-4) and not np.allclose(styled[0], motion.expression, atol=1e-4)
    ignored = pipeline(audio, seed=1, style=one, options=SamplingOptions(style_guidance=0))
    assert np.allclose(ignored.expression, motion.expression, atol=1e-4)
    assert "diffposetalk, seed 1, style_guidance 0" in ignored.source


@pytest.mark.parametrize("solver", ["ddim", "renoise", "dpm-solver++"])
def test_solvers_by_name(folder, audio, solver):
    if solver == "dpm-solver++":
        pytest.importorskip("diffusers", reason="the package diffusers is not installed")
    pipeline = MotionPipeline.from_pretrained(folder)
    options = SamplingOptions(steps=3, solver=solver)
    motion, default = (
        pipeline(audio[:16000], options=options),
        pipeline(audio[:16000], options=SamplingOptions(steps=3)),
    )
    assert np.array_equal(motion.expression, default.expression) == (solver == "ddim")


def test_what_a_style_cannot_be(folder, audio):
    pipeline = MotionPipeline.from_pretrained(folder)
    style = pipeline.style_of(clips()[1].motion)
    style.encoder = "of another"
    with pytest.raises(UsageError, match="another style encoder"):
        pipeline(audio, style=style)
    with pytest.raises(InputError, match="3 frames are too few"):
        pipeline.style_of(clips()[1].motion.slice(0, 3))
    foreign = clips()[1].motion
    foreign.face_model = "other:0123"
    with pytest.raises(InputError, match="belongs to face model other:0123"):
        pipeline.style_of(foreign)
    with pytest.raises(UsageError, match="no style 'calm'"):
        pipeline.named_style("calm")
    with pytest.raises(UsageError, match="style_guidance is a number from 0 to 100"):
        pipeline(audio, options=SamplingOptions(style_guidance=-1))
    with pytest.raises(UsageError, match="not of fd2talk"):
        MotionPipeline.from_pretrained(folder, model="fd2talk")
    with pytest.raises(UsageError, match="takes no style"):
        MotionPipeline.from_pretrained()(audio, options=SamplingOptions(style_guidance=1))


def test_the_tail_is_continued(folder, audio):
    """What follows given frames begins near them."""
    from stage1_motion.interface import Subject, Tail

    pipeline = MotionPipeline.from_pretrained(folder)
    speech, subject = pipeline.frontend(audio), Subject.of(None, MODEL)
    generator = torch.Generator().manual_seed(0)
    for known in (3, T_P, 15):
        tail = Tail(np.full((known, COUNT), 2, np.float32), np.full((known, 6), 2, np.float32), speech.features[:known])
        sample = pipeline.model.sample(speech, subject, tail=tail, generator=generator)
        alone = pipeline.model.sample(speech, subject, generator=generator)
        assert len(sample.pose) == len(speech)
        assert np.abs(sample.pose[0] - 2).mean() < np.abs(alone.pose[0] - 2).mean() / 2


def test_it_streams(folder, audio):
    """The same motion for blocks of any size, with the style."""
    pipeline = MotionPipeline.from_pretrained(folder)
    style = pipeline.style_of(clips()[1].motion)

    def streamed(block, style):
        stream = pipeline.stream(seed=3, style=style)
        pieces = [stream.push(audio[start : start + block]) for start in range(0, len(audio), block)]
        return np.concatenate([piece.expression for piece in [*pieces, stream.flush()] if piece is not None])

    found = streamed(320, style)
    assert len(found) == 75 and np.array_equal(found, streamed(7777, style))
    assert not np.allclose(found, streamed(320, None), atol=1e-4)


def test_the_head_does_not_tremble(audio):
    """Second differences of the translation, in crop units: those of filmed heads are about .0013."""
    motion = MotionPipeline.from_pretrained(model="diffposetalk")(audio, seed=1)
    shake = np.abs(np.diff(motion.translation, n=2, axis=0)).mean()
    assert 1e-4 < shake < 0.002
