"""Eq. 4 to 6 written out, what a batch has, and weights that are trained, resumed and loaded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.checkpoint import load_checkpoint
from shared.training.config import TrainingConfig
from shared.training.loop import train
from stage1_motion.models.diface.model import KIND, Sampler, load
from stage1_motion.models.diface.training import LOSS_SETTINGS, gap_loss, simple_loss, velocity_loss
from stage1_motion.motion_space import TYPICAL_LIP_STD

GENERATOR = torch.Generator().manual_seed(0)
TRUE, PREDICTED = torch.randn(2, 3, 6, 4, generator=GENERATOR)
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)[..., None]
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 0.3])


def settings(output, **changes):
    values = {"max_steps": 2, "batch_size": 4, "validate_every": 2, "threads": 1, "precision": "no", **changes}
    return TrainingConfig(output=str(output), **values)


def test_equations_4_and_5():
    """Only frames, and pairs of frames, that there are."""
    simple, velocity = [], []
    for b in range(3):
        for n in range(6):
            if not MASK[b, n]:
                continue
            simple.append(sum(float(WEIGHTS[k] * (TRUE[b, n, k] - PREDICTED[b, n, k]) ** 2) for k in range(4)) / 4)
            if n and MASK[b, n - 1]:
                steps = [(v[b, n] - v[b, n - 1]).tolist() for v in (TRUE, PREDICTED)]
                velocity.append(sum(float(w) * (s - p) ** 2 for w, s, p in zip(WEIGHTS, *steps)) / 4)
    assert len(simple) == 11 and len(velocity) == 7
    assert float(simple_loss(PREDICTED, TRUE, MASK, WEIGHTS)) == pytest.approx(np.mean(simple), rel=1e-5)
    assert float(velocity_loss(PREDICTED, TRUE, MASK, WEIGHTS)) == pytest.approx(np.mean(velocity), rel=1e-5)
    # A flipped sign, in the prediction as in the difference, is another number.
    assert abs(float(velocity_loss(-PREDICTED, TRUE, MASK, WEIGHTS)) - np.mean(velocity)) > 0.1
    assert abs(float(simple_loss(-PREDICTED, TRUE, MASK, WEIGHTS)) - np.mean(simple)) > 0.1


def test_errors_of_small_gaps_weigh_more():
    """Relative to the real gap, above 2 mm; crossed lips are a gap of 0."""
    true = torch.tensor([[[0.0], [8.0], [-1.0], [30.0]]])
    predicted = torch.tensor([[[1.0], [9.0], [3.0], [0.0]]])
    mask = torch.tensor([[[True], [True], [True], [False]]])
    expected = ((1 / 2) ** 2 + (1 / 10) ** 2 + (4 / 2) ** 2) / 3
    assert float(gap_loss(predicted, true, mask, 2.0)) == pytest.approx(expected)
    assert float(gap_loss(true, true, mask, 2.0)) == 0


class Recorder:
    """In the place of the network: remembers what it is called with and answers with what it is given."""

    def __init__(self, answer):
        self.answer, self.person = answer, torch.nn.Embedding(3, 8)

    def __call__(self, noisy, timestep, speech, person, drop_speech):
        self.call = SimpleNamespace(noisy=noisy, timestep=timestep, speech=speech, person=person, dropped=drop_speech)
        return self.answer


@pytest.mark.parametrize(("velocity_weight", "head_weight"), [(10.0, 1.0), (0.0, 0.5), (3.0, 2.0)])
def test_equation_6(small, velocity_weight, head_weight):
    task = small.task(frames=9, velocity_weight=velocity_weight, head_weight=head_weight)
    batch = task.batch(torch.Generator().manual_seed(0), 5)
    answer = torch.randn(batch["x0"].shape, generator=GENERATOR)
    network = Recorder(answer)
    loss, parts = task.loss(network, batch)
    assert batch["mask"][:, :9].all() and not batch["mask"][:, 9:].any()  # a clip of 9 frames, crops of 12
    error = (answer - batch["x0"])[:, :9].numpy().astype(float)
    error[..., -6:] *= head_weight**0.5
    simple = np.mean(error**2)
    velocity = np.mean((error[:, 1:] - error[:, :-1]) ** 2)
    assert float(parts["simple"]) == pytest.approx(simple, rel=1e-4)
    assert float(parts["velocity"]) == pytest.approx(velocity, rel=1e-4)
    assert float(loss) == pytest.approx(simple + velocity_weight * velocity, rel=1e-4)
    call = network.call
    assert torch.equal(call.person, network.person(batch["person"])) and torch.equal(call.speech, batch["speech"])
    assert torch.equal(call.dropped, batch["drop_speech"]) and torch.equal(call.timestep, batch["timestep"])
    for b, t in enumerate(batch["timestep"].tolist()):
        alpha = float(task.schedule.alphas_cumprod[t])
        expected = alpha**0.5 * batch["x0"][b] + (1 - alpha) ** 0.5 * batch["noise"][b]
        assert torch.allclose(call.noisy[b], expected, atol=1e-5)


def test_the_gap_that_is_weighed_is_the_lips_own(small):
    """In mm from closed lips, in the loss and in its part; 0 leaves eq. 6."""
    task, plain = (small.task(frames=12, gap_weight=weight, gap_floor=1.5) for weight in (0.3, 0.0))
    clip = task.clips[0]
    task.clips = plain.clips = [clip]
    batch = task.batch(torch.Generator().manual_seed(3), 2)
    answer = 0.8 * batch["x0"]
    space = small.space
    gaps = []
    for values in (answer, batch["x0"]):
        expression, _ = task.coordinates.decode(values.flatten(0, 1).numpy())
        photo = space.speech_expression(clip.motion).mean(0)
        closed = float(space.lip_gap(clip.motion.identity, photo))
        decoded = space.decode_expression(expression, photo, closed, TYPICAL_LIP_STD)
        gaps.append(space.lip_gap(clip.motion.identity, decoded).reshape(2, -1))
    expected = np.mean(((gaps[0] - gaps[1]) / (np.maximum(gaps[1], 0) + 1.5)) ** 2)
    loss, parts = task.loss(Recorder(answer), batch)
    assert float(parts["gap"]) == pytest.approx(expected, rel=1e-3)
    eq6, others = plain.loss(Recorder(answer), batch)
    assert float(loss) == pytest.approx(float(eq6) + 0.3 * expected, rel=1e-4) and "gap" not in others


def test_a_crop_is_part_of_a_person_s_clip(small):
    task = small.task(speech_noise=0.0)
    batch = task.batch(torch.Generator().manual_seed(1), 40)
    clips = {clip.person: clip for clip in task.clips}
    starts = set()
    for b in range(40):
        clip = clips[task.people[batch["person"][b]]]
        (start,) = (s for s in range(29) if np.array_equal(clip.speech[s : s + 12], batch["speech"][b].numpy()))
        motion = small.space.encode_unscaled(clip.motion)[start : start + 12]
        count = small.space.model.num_expression
        expected = task.coordinates.encode(motion[:, :count], motion[:, count:])
        assert np.allclose(batch["x0"][b].numpy(), expected, atol=1e-5)
        starts.add(start)
    assert len(starts) > 10 and batch["mask"].all() and set(batch["person"].tolist()) == {0, 1, 2}
    assert set(clips).isdisjoint(clip.person for clip in task.development)
    noisy = small.task(speech_noise=0.5).batch(torch.Generator().manual_seed(1), 40)["speech"] - batch["speech"]
    assert float(noisy.std()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_speech_is_dropped_as_often_as_asked(small, share):
    batch = small.task(speech_dropout=share, frames=12).batch(torch.Generator().manual_seed(0), 300)
    assert abs(float(batch["drop_speech"].float().mean()) - share) < 0.05
    assert 0 <= int(batch["timestep"].min()) < 20 and 480 < int(batch["timestep"].max()) < 500


def test_without_the_head(small):
    task = small.task(head=False)
    batch = task.batch(torch.Generator().manual_seed(0), 4)
    assert batch["x0"].shape[-1] == len(task.weights) == 3 * small.space.model.num_vertices
    assert torch.isfinite(task.loss(task.model, batch)[0])
    assert task.validate(task.model.eval()).keys() == {"score", "r", "spread", "speed", "level"}


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """A task, and the folder of its training of two steps."""
    output = tmp_path_factory.mktemp("training")
    task = small.task(network={"dropout": 0.2}, velocity_weight=7.0, sampler=Sampler(3, 0.5, 0.0, "renoise"),
                      encoder={"speech_encoder": "some/encoder", "layer": 3})  # fmt: skip
    result = train(task, settings(output))
    assert {"score", "r", "spread", "speed", "level", "head_speed", "head_trembling"} == result["validation"].keys()
    return task, output


def test_a_stopped_training_resumes_bit_exactly(small, trained, tmp_path):
    _, whole = trained
    task = small.task(network={"dropout": 0.2}, velocity_weight=7.0)
    loss, calls = task.loss, []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return loss(*arguments)

    task.loss = stopped
    with pytest.raises(KeyboardInterrupt):
        train(task, settings(tmp_path, save_every=0.0))
    again = small.task(network={"dropout": 0.2}, velocity_weight=7.0)
    assert train(again, settings(tmp_path))["step"] == 2
    found, expected = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (tmp_path, whole))
    for part in ("model", "averaged"):
        assert all(torch.equal(value, expected[part][name]) for name, value in found[part].items())


def test_trained_weights_are_loaded(small, trained):
    """With everything that a fine-tuning needs; somebody unknown has the mean of the training people's vectors."""
    task, output = trained
    model = load(output / "best", small.space.model)
    assert (output / "best" / "model.yaml").read_text() == "model: diface\nspeech_encoder: some/encoder\nlayer: 3\n"
    averaged = torch.load(output / "checkpoint.pt", weights_only=True)["averaged"]
    assert torch.allclose(model.person, averaged["person.weight"].mean(0), atol=1e-3)
    for name, value in model.network.state_dict().items():
        assert torch.allclose(value, averaged[name], atol=2e-3), name
    assert model.sampler == task.sampler and model.loss == {name: getattr(task, name) for name in LOSS_SETTINGS}
    assert np.allclose(model.space.expression_std, small.space.expression_std)
    assert np.allclose(model.space.pose_std, small.space.pose_std)
    assert (model.fps, model.coordinates.scale, model.coordinates.head) == (25.0, 20.0, True)
    assert load_checkpoint(output / "best" / "denoiser.safetensors", KIND)[1]["config"] == task.config.to_dict()
