"""Training of the repair networks on synthetic pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import check_resumed_equals_uninterrupted, mean_loss, task_of, training
from synthetic_pairs import write_pairs

from shared.splits import is_development
from shared.training.loop import train
from stage2_render.repair.network import RepairNetwork
from stage2_render.repair.networks import load_network
from stage2_render.training.repair import task as repair
from stage2_render.training.repair.batch_sampler import BatchSampler
from stage2_render.training.repair.discriminator import adversarial_losses
from stage2_render.training.repair.pair_dataset import Pairs

SMALL = {"channels": [8, 8, 16], "blocks": [1, 1, 1], "heads": 2}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "parts")


def small_task(pairs, part="mouth", **changes):
    torch.manual_seed(0)
    data = {"pairs": str(pairs), "clips": "nowhere", "portraits": "nowhere"}
    return task_of(repair, **{"part": part, "data": data, "network": SMALL, **changes})


@pytest.mark.parametrize("part", ["mouth", "eye"])
def test_the_network_learns(tmp_path, pairs, part):
    task = small_task(pairs, part)
    before = mean_loss(task)
    result = train(task, training(tmp_path, {"mouth": 40, "eye": 60}[part]))
    assert mean_loss(task) < 0.6 * before
    group = "opened" if part == "mouth" else "shut"
    assert result["validation"][f"{group}_psnr_gain"] > 1
    assert (tmp_path / "best" / "pictures.png").exists()
    assert load_network(tmp_path / "best", part).config.channels == (8, 8, 16)


def test_a_stopped_training_resumes(tmp_path, pairs, monkeypatch):
    check_resumed_equals_uninterrupted(lambda: small_task(pairs), tmp_path, monkeypatch)


def test_a_perfect_repair_has_no_loss_but_that_of_the_cover(pairs):
    task = small_task(pairs)
    batch = task.batch(torch.Generator().manual_seed(0), 6)
    right = repair.disagreement(batch["warped"], batch["target"])

    class Perfect(torch.nn.Module):
        def forward(self, warped, maps, photo, photo_maps):
            return batch["target"] - (1 - right) * warped, right

    task.window = torch.ones_like(task.window)
    loss, parts = task.loss(Perfect(), batch)
    assert float(loss) == pytest.approx(0, abs=1e-6) and float(parts["cover"]) == 0
    # The loss against independent sums.
    paint, cover = torch.full_like(batch["warped"], 0.1), torch.full_like(right, 0.25)

    class Constant(torch.nn.Module):
        def forward(self, warped, maps, photo, photo_maps):
            return paint, cover

    loss, _ = task.loss(Constant(), batch)
    warped, target, maps = (batch[name].numpy() for name in ("warped", "target", "maps"))
    image = 0.75 * warped + 0.1
    error, of_warp = np.abs(image - target), np.abs(warped - target)
    inside = np.clip(maps.sum(1), 0, 1).repeat(2, 1).repeat(2, 2)
    expected = error.mean() + 0.5 * np.maximum(error - of_warp, 0).mean()
    expected += 2 * (error * inside[:, None]).sum() / (3 * inside.sum())
    expected += 0.1 * np.abs(0.25 - right.numpy()).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_the_warp_is_wrong_where_it_differs_by_more_than_detail():
    target = torch.zeros(1, 3, 64, 64)
    warped = target.clone()
    warped[..., ::2, ::2] += 0.1  # detail: its mean differs by 3 of 255
    warped[..., 20:44, 20:44] = 0.5
    wrong = repair.disagreement(warped, target)[0, 0]
    assert wrong.shape == (64, 64) and wrong[32, 32] > 0.99 and wrong[5, 5] < 0.2
    assert (repair.disagreement(target, target) == 0).all()
    torch.testing.assert_close(repair.disagreement(target, warped), repair.disagreement(warped, target))


def test_development_people_are_not_drawn_and_photos_are_a_share(pairs):
    sampler = BatchSampler(Pairs(pairs / "train"), "mouth", portraits=0.4)
    people = sampler.pairs.person
    development = np.array([is_development(person, "renderer") for person in people])
    assert development.any() and float(sampler.choose.weights[development].sum()) == 0
    portrait = sampler.pairs.kind == "portrait"
    assert float(sampler.choose.weights[portrait].sum()) == pytest.approx(0.4)
    assert set(sampler.development) == set(np.flatnonzero(development & ~portrait))


def test_mirrored_pairs(pairs):
    plain, mirrored = (BatchSampler(Pairs(pairs / "train"), "mouth", flip=flip, jitter=0.0) for flip in (0.0, 1.0))
    one, other = (sampler.draw(torch.Generator().manual_seed(3), 6) for sampler in (plain, mirrored))
    for name in ("warped", "target", "reference", "maps", "reference_maps"):
        torch.testing.assert_close(other[name], one[name].flip(-1))
    assert not torch.equal(one["target"], other["target"])
    torch.testing.assert_close(other["boxes"][:, [0, 2]], 159 - one["boxes"][:, [2, 0]])


def test_larger_faces_are_drawn_more_often(pairs):
    sampler = BatchSampler(Pairs(pairs / "train"), "mouth", portraits=0.0)
    sampler.pairs.face[:] = np.tile([50, 110, 220, 900], len(sampler.pairs) // 4)
    sampler.sharp = 440.0
    sampler.__post_init__()
    drawn = sampler.choose.weights.numpy()
    faces = [set(np.round(drawn[(sampler.pairs.face == face) & (drawn > 0)] * 1e6)) for face in (50, 110, 220, 900)]
    (small,), (soft,), (medium,), (large,) = faces
    assert small == soft and medium == pytest.approx(2 * soft, rel=1e-4) and large == pytest.approx(4 * soft, rel=1e-4)


def test_sharpening_amplifies_detail_in_all_images_of_a_pair_alike(pairs):
    plain, sharp = (
        BatchSampler(Pairs(pairs / "train"), "mouth", flip=0.0, jitter=0.0, sharpen=most) for most in (0.0, 2.0)
    )
    one, other = (sampler.draw(torch.Generator().manual_seed(5), 6) for sampler in (plain, sharp))
    # Far from edges nothing changes; at an edge both sides move apart.
    torch.testing.assert_close(one["reference"], other["reference"])
    change = (other["target"] - one["target"]).abs()
    assert change.max() > 0.05 and change[..., :5, :5].max() < 1e-5
    assert torch.equal(one["maps"], other["maps"])


def test_both_eyes_of_a_pair_are_crops(pairs):
    batch = BatchSampler(Pairs(pairs / "train"), "eye").draw(torch.Generator().manual_seed(0), 6)
    assert batch["target"].shape == (6, 3, 56, 80) and batch["maps"].shape == (6, 2, 28, 40)
    assert batch["boxes"].shape == (6, 4)


def test_the_warp_is_what_an_untrained_network_gives(pairs):
    task = small_task(pairs)
    batch = task.batch(torch.Generator().manual_seed(0), 4)
    image, _ = task._repaired(RepairNetwork(task.model.config), batch)
    torch.testing.assert_close(image, batch["warped"])


def test_a_repair_network_and_its_discriminator_are_trained_together(tmp_path, pairs):
    task = small_task(pairs, loss={"adversarial_weight": 0.05})
    before = [parameter.detach().clone() for parameter in task.model.parameters()]
    result = train(task, training(tmp_path, 5))
    assert {"opened_psnr_gain", "opened_sharpness"} <= set(result["validation"])
    assert not any(torch.equal(one, other) for one, other in zip(before, task.model.discriminator.parameters()))
    # What is written is the repair network alone.
    assert load_network(tmp_path / "best", "mouth").config.channels == (8, 8, 16)


def test_the_discriminator_learns_to_tell_the_warp_from_real_frames(pairs):
    task = small_task(pairs, loss={"adversarial_weight": 0.05})
    judge = task.model.discriminator
    optimizer = torch.optim.Adam(judge.parameters(), 2e-3)
    for step in range(15):
        drawn = task.batch(torch.Generator().manual_seed(step), 8)
        batch = {name: near_the_patch(name, values) for name, values in drawn.items()}
        loss = adversarial_losses(judge, batch["warped"], *of_batch(batch))["discriminator"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.0
    with torch.no_grad():
        real, fake = (judge(image, *of_batch(batch)[1:])[-1].mean() for image in (batch["target"], batch["warped"]))
    assert real > fake + 0.5


def near_the_patch(name, values):
    """Where warp and frame of synthetic pairs differ; elsewhere nothing can be told."""
    factor = 1 if "maps" in name else 2
    return values if name == "boxes" else values[..., 12 * factor : 44 * factor, 16 * factor : 64 * factor]


def of_batch(batch):
    return batch["target"], batch["reference"], batch["maps"]


def test_the_gradients_of_the_adversaries_do_not_mix(pairs):
    task = small_task(pairs, loss={"adversarial_weight": 0.05})
    judge, batch = task.model.discriminator, task.batch(torch.Generator().manual_seed(0), 4)
    image = batch["warped"].clone().requires_grad_(True)
    losses = adversarial_losses(judge, image, *of_batch(batch))
    losses["discriminator"].backward(retain_graph=True)
    assert image.grad is None and judge.output.bias.grad is not None
    judge.zero_grad()
    (losses["adversarial"] + losses["features"]).backward()
    assert image.grad is not None and all(p.grad is None for p in judge.parameters())
    # Each side goes its way: a step of the repair against its gradient raises the score that it gets.
    with torch.no_grad():
        better = image - 1e-3 * image.grad.sign()
        judge.eval()
        assert judge(better, *of_batch(batch)[1:])[-1].mean() > judge(image, *of_batch(batch)[1:])[-1].mean()


def test_the_hinge_losses(pairs):
    class Known(torch.nn.Module):
        def forward(self, image, reference, maps):
            return [image, image.mean((1, 2, 3), keepdim=True)]

    target, image = torch.full((2, 3, 4, 4), 0.3), torch.full((2, 3, 4, 4), -0.4)
    losses = adversarial_losses(Known(), image, target, target, target)
    assert float(losses["discriminator"]) == pytest.approx((1 - 0.3) + (1 - 0.4))
    assert float(losses["adversarial"]) == pytest.approx(0.4)
    assert float(losses["features"]) == pytest.approx(0.7)
