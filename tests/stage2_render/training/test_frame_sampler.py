"""Pairs of frames: what is drawn, and that augmentation keeps images and coefficients together."""

import numpy as np
import pytest
import torch
from synthetic_frames import write_frames

from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.splits import is_development
from stage2_render.training.frame_sampler import FrameSampler, weight_map
from stage2_render.training.frame_set import FrameSet, mirror_signs

WINDOW = (40, 30, 128)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return FrameSet(write_frames(tmp_path_factory.mktemp("frames") / "set"))


def sampler(frames, **changes):
    return FrameSampler(frames, WINDOW, **{"flip": 0.0, "jitter": 0.0, "shift": 0, **changes})


def rows_of(frames, coefficients):
    return [int(np.abs(frames.coefficients - one).sum(1).argmin()) for one in coefficients.numpy()]


def test_pairs_are_two_frames_of_one_take_of_training_people(frames):
    batch = sampler(frames).draw(torch.Generator().manual_seed(0), 60)
    targets, references = (rows_of(frames, batch[name]) for name in ("coefficients", "reference_coefficients"))
    left, top, side = WINDOW
    for target, reference, image in zip(targets, references, batch["target"]):
        assert target != reference and frames.take[target] == frames.take[reference]
        assert not is_development(frames.person[target], "renderer")
        shown = frames.frames[target, top : top + side, left : left + side]
        np.testing.assert_allclose(image.permute(1, 2, 0), shown / 127.5 - 1.0, atol=1e-6)


def test_development_pairs_are_of_other_people_and_always_the_same(frames):
    targets, references = sampler(frames).development_pairs(10)
    again = sampler(frames).development_pairs(10)
    assert len(targets) and all(is_development(frames.person[row], "renderer") for row in targets)
    np.testing.assert_array_equal(np.stack([targets, references]), np.stack(again))


def test_the_reference_of_the_paper_is_the_first_frame(frames):
    batch = sampler(frames, reference="first", candidates=1).draw(torch.Generator().manual_seed(0), 30)
    assert {int(frames.time[row]) for row in rows_of(frames, batch["reference_coefficients"])} == {0}


def test_the_reference_differs_from_the_target(frames):
    def distance(candidates):
        batch = sampler(frames, candidates=candidates).draw(torch.Generator().manual_seed(0), 200)
        return (batch["coefficients"] - batch["reference_coefficients"])[:, 0].abs().mean()

    assert distance(8) > 1.15 * distance(1)


def seen(coefficients):
    """Where the window shows the face model's vertices under a pose: x, y in pixels."""
    places = project(load_bundled().mean, coefficients[-6:-3], coefficients[-3:])[:, :2]
    return (places + 1) * 128 - 0.5 - np.array(WINDOW[:2])


def test_a_shifted_window_shifts_the_translation(frames):
    moved = sampler(frames, shift=8)
    rows = np.arange(4)
    shift = torch.tensor([[3, -5], [0, 0], [8, 8], [-50, 2]])
    plain, other = moved.at(rows, rows, shift * 0), moved.at(rows, rows, shift)
    torch.testing.assert_close(other["target"][0, :, 5:, :-3], plain["target"][0, :, :-5, 3:])
    for index, (x, y) in enumerate([(3, -5), (0, 0), (8, 8), (-40, 2)]):  # not beyond the border
        before, after = (seen(one["coefficients"][index].numpy()) for one in (plain, other))
        np.testing.assert_allclose(after, before - [x, y], atol=1e-3)
        np.testing.assert_allclose(other["boxes"][index], plain["boxes"][index] - torch.tensor([x, y, x, y]), atol=1e-4)


def test_a_mirrored_frame_has_mirrored_coefficients(frames):
    model = load_bundled()
    plain, other = (sampler(frames, flip=flip).draw(torch.Generator().manual_seed(0), 3) for flip in (0.0, 1.0))
    torch.testing.assert_close(other["reference"], plain["reference"].flip(-1))
    np.testing.assert_allclose(other["boxes"][:, 0, [0, 2]], 127 - plain["boxes"][:, 0, [2, 0]])
    np.testing.assert_allclose(other["boxes"][:, 1, [0, 2]], 127 - plain["boxes"][:, 2, [2, 0]])
    mirror = np.linalg.norm((model.mean * [-1, 1, 1])[:, None] - model.mean[None], axis=-1).argmin(1)
    for before, after in zip(plain["coefficients"].numpy(), other["coefficients"].numpy()):
        expected = seen(before)[mirror]
        expected[:, 0] = 127 - expected[:, 0]
        np.testing.assert_allclose(seen(after), expected, atol=0.02)


def test_every_component_of_the_face_model_has_a_mirror_sign():
    model, random = load_bundled(), np.random.default_rng(0)
    signs = mirror_signs(model)
    mirror = np.linalg.norm((model.mean * [-1, 1, 1])[:, None] - model.mean[None], axis=-1).argmin(1)
    expression = random.normal(size=model.num_expression)
    offset, mirrored = (np.tensordot(e, model.exp_basis, 1) for e in (expression, expression * signs[:-6]))
    np.testing.assert_allclose(mirrored, offset[mirror] * [-1, 1, 1], atol=0.05)


def test_colours_of_a_pair_change_alike(frames):
    plain, other = (sampler(frames, jitter=jitter).draw(torch.Generator().manual_seed(0), 20) for jitter in (0.0, 0.2))
    assert (plain["target"] - other["target"]).abs().mean() > 0.02
    change = [(other[name] - plain[name]).mean((2, 3)) for name in ("target", "reference")]
    assert np.corrcoef(change[0].flatten(), change[1].flatten())[0, 1] > 0.9


def test_weights_of_mouth_and_eyes():
    boxes = torch.tensor([[[9.0, 17.0, 22.0, 31.0], [1.0, 1.0, 6.0, 6.0], [25.0, 1.0, 31.0, 6.0]]])
    expected = torch.ones(4, 4)
    expected[2:4, 1:3] += 3
    expected[0, 0] += 2
    expected[0, 3] += 2
    torch.testing.assert_close(weight_map(boxes, 4, 8, 3.0, 2.0)[0, 0], expected)
