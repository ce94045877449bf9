"""Weights of their own for the empty condition: what is trained, what stays, and that s = 1 does not hear of them."""

from dataclasses import replace

import pytest
import torch

from shared.checkpoint import load_checkpoint
from shared.errors import InputError
from shared.training.config import TrainingConfig
from shared.training.loop import train
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.diface.model import KIND, load
from stage1_motion.models.diface.training import Config, build_task
from stage1_motion.models.diface.unconditional_training import UnconditionalTask


@pytest.fixture(scope="module")
def start(small, tmp_path_factory):
    """A denoiser's file, and the task that wrote it."""
    folder, task = tmp_path_factory.mktemp("start"), small.task(velocity_weight=7.0)
    task.save(task.model, folder)
    return folder / "denoiser.safetensors", task


def made(small, start, changes=None, **settings):
    path, base = start
    clips = small.clips()
    torch.manual_seed(1)
    config = replace(base.config, **{"unconditional_width": 16, **(changes or {})})
    coordinates = Coordinates(small.space, 20.0, True)
    return UnconditionalTask(clips[1:], clips[:1], coordinates, config, path, **{"frames": 12, **settings})


@pytest.fixture(scope="module")
def trained(small, start, tmp_path_factory):
    """The task, and the folder of its training of three steps."""
    output, task = tmp_path_factory.mktemp("training"), made(small, start)
    config = TrainingConfig(output=str(output), max_steps=3, batch_size=4, validate_every=3, threads=1, ema_decay=0.0)
    result = train(task, config)
    assert result["validation"]["score"] == -result["validation"]["loss"]
    return task, output


def test_the_denoiser_s_weights_and_settings_stay(start, trained):
    before, header = load_checkpoint(start[0], KIND)
    after, found = load_checkpoint(trained[1] / "best" / "denoiser.safetensors", KIND)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert {name for name in after if name not in before} == {
        f"unconditional.{name}" for name in trained[0].model.state_dict()
    }
    assert found == {**header, "config": {**header["config"], "unconditional_width": 16}}
    assert found["loss"]["velocity_weight"] == 7.0  # the denoiser's, for a fine-tuning
    assert (trained[1] / "best" / "model.yaml").read_text() == "model: diface\nspeech_encoder: bundled\n"


def test_what_was_learned_on_the_face_is_a_network_on_its_vertices(small, trained):
    """Noise in directions in which no face moves has no effect, and no prediction goes there."""
    task, output = trained
    network, learned = load(output / "best", small.space.model).network, task.model.eval()
    basis, random = torch.from_numpy(task.coordinates.basis()), torch.Generator().manual_seed(0)
    x, person = torch.randn(2, 16, len(basis), generator=random), torch.randn(2, 8, generator=random)
    t = torch.tensor([30, 400])
    with torch.no_grad():
        expected = learned(x @ basis, t, person)
        found = network.unconditional(x, t, person)
        assert torch.allclose(found @ basis, expected, atol=0.01) and expected.std() > 0.1  # stored in half precision
        assert torch.allclose(found @ basis @ basis.T, found, atol=0.01)
        beside = torch.randn(x.shape, generator=random)
        beside -= beside @ basis @ basis.T
        assert torch.allclose(network.unconditional(x + beside, t, person), found, atol=0.02)


def test_the_loss_is_that_of_the_vertices(small, start):
    """Eq. 6 of the same crops and predictions, but for the number of coordinates of which the mean is taken."""
    task, plain = made(small, start), start[1]
    plain.frames = 12
    batches = [each.batch(torch.Generator().manual_seed(0), 5) for each in (task, plain)]
    basis = torch.from_numpy(task.coordinates.basis())
    assert torch.allclose(batches[0]["x0"] @ basis.T, batches[1]["x0"], atol=1e-4)
    shares = []
    for each, batch in zip((task, plain), batches):
        each.velocity_weight = 10.0
        each.predict = lambda _, noisy, batch: 0.7 * batch["x0"]
        shares.append(float(each.loss(each.model, batch)[0]) * batch["x0"].shape[-1])
        del each.predict
    plain.velocity_weight = 7.0
    assert shares[0] == pytest.approx(shares[1], rel=1e-3)


def test_people_have_the_denoiser_s_vectors_and_others_their_mean(small, start):
    task, vectors = made(small, start), start[1].model.person.weight.detach()
    calls = []
    task.predict(lambda x, t, person: calls.append(person), None, {"timestep": None, "person": torch.tensor([0, 2, 3])})
    assert torch.allclose(calls[0][:2], vectors[[0, 2]], atol=1e-3)
    assert torch.allclose(calls[0][2], vectors.mean(0), atol=1e-3)
    assert set(task.crops(task.development, torch.Generator(), 4)["person"].tolist()) == {3}


@pytest.mark.parametrize("changes", [{"width": 16}, {"levels": 2}, {"people": 4}, {"speech_features": 9}])
def test_another_denoiser_is_refused(small, start, changes):
    with pytest.raises(InputError, match="is not the one that `network`"):
        made(small, start, changes)


@pytest.mark.parametrize("values", [{"start": "a"}, {"network": {"unconditional_width": 8}}])
def test_a_config_needs_both_or_neither(values):
    with pytest.raises(InputError, match="belong together"):
        build_task(Config(**values))
