"""Drawing windows and weighting places of training pairs."""

import pytest
import torch
from synthetic import BOXES, pairs_section, write_pairs

from shared.errors import InputError
from shared.splits import is_development
from stage2_render.diffusion.conditioning_maps import MAPS
from stage2_render.training.batch_sampler import BatchSampler, PairsConfig, draw_windows, take_windows, weight_map


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return PairsConfig(**pairs_section(write_pairs(tmp_path_factory.mktemp("pairs") / "face"))).open()


def test_another_framing_is_refused(tmp_path):
    write_pairs(tmp_path / "pairs", 4)
    with pytest.raises(InputError, match="pairs of face crops, not of head crops"):
        PairsConfig(**pairs_section(tmp_path / "pairs", "head")).open()


def test_development_people_are_not_drawn(pairs):
    sampler = BatchSampler(pairs)
    development = [is_development(person, "renderer") for person in pairs.person]
    assert any(development) and sampler.weights[development].sum() == 0
    assert set(pairs.person[sampler.development]) <= set(pairs.person[development])


def test_mirrored_pairs_have_no_coefficients(pairs):
    plain, mirrored = (BatchSampler(pairs, flip=flip, jitter=0.0) for flip in (0.0, 1.0))
    one, other = (sampler.draw(torch.Generator().manual_seed(3), 6) for sampler in (plain, mirrored))
    assert not one["coefficient_drop_mask"].any() and other["coefficient_drop_mask"].all()
    torch.testing.assert_close(other["target"], one["target"].flip(-1))
    sign = torch.tensor([-1.0 if name == "moved_x" else 1.0 for name in MAPS]).view(-1, 1, 1)
    torch.testing.assert_close(other["maps"], one["maps"].flip(-1) * sign)
    left, right = one["boxes"][:, 2], other["boxes"][:, 1]
    torch.testing.assert_close(right[:, [0, 2]], 255 - left[:, [2, 0]])


@pytest.mark.parametrize(("factor", "cells"), [(8, 16), (4, 16), (4, 64)])
def test_windows_are_around_the_boxes(factor, cells):
    size = 256 // factor
    boxes = torch.tensor(BOXES, dtype=torch.float32).expand(400, -1, -1)
    shut = torch.arange(400) % 2 == 0
    corners = draw_windows(boxes, shut, size, cells, factor, torch.Generator().manual_seed(0))
    assert corners.min() >= 0 and corners.max() <= size - cells
    middle = (corners + cells / 2) * factor
    if cells < size:
        in_mouth = (middle - torch.tensor([185.0, 128.0])).abs().amax(1) < 3 * factor
        at_an_eye = (middle[:, 0] - max(65, cells * factor / 2)).abs() < 3 * factor
        assert in_mouth[~shut].float().mean() > 0.5 and at_an_eye[shut].float().mean() > 0.5
    ramp = torch.arange(256.0).view(1, 1, 256, 1).expand(400, 1, -1, 256)
    taken = take_windows(ramp, corners, cells, size)
    assert torch.equal(taken[:, 0, 0, 0], corners[:, 0] * float(factor)) and taken.shape[-1] == cells * factor


@pytest.mark.parametrize("factor", [4, 8])
def test_the_mouth_weighs_more(factor):
    boxes = torch.tensor([[[96.0, 160, 160, 224], [64, 48, 104, 80], [152, 48, 192, 80]]])
    weights = weight_map(boxes, 256 // factor, factor, 4.0, 2.0)[0, 0]
    mouth, eye, none = ((row // factor, column // factor) for row, column in ((190, 128), (64, 84), (120, 20)))
    assert (weights[mouth], weights[eye], weights[none]) == (5, 3, 1)
