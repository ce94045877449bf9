"""The repair renderer, with networks that are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from portraits import opened, portrait, warp_of

from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.parts import LEFT, MOUTH, PARTS, RIGHT
from stage2_render.repair.renderer import RepairRenderer

SIZE = 250
"""Side of the photo in pixels: no sharper than what networks learn from, so that they paint in full."""


class Painter(torch.nn.Module):
    """A network that covers everything with one grey value, whatever it gets."""

    ranges: dict = {}  # which it cannot be rounded to

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def encode_photo(self, photo, maps):
        return [photo]

    def repair(self, warped, maps, photo, detail):
        return torch.full_like(warped, self.value), torch.ones_like(warped[:, :1])


def renderer(mouth: float = 1.0, eye: float = -1.0, image=None) -> tuple[RepairRenderer, np.ndarray]:
    photo, mesh = portrait(size=SIZE)
    fit = PhotoFit.from_landmarks(photo if image is None else image, mesh, load_bundled())
    return RepairRenderer(fit, RepairNetworks(Painter(mouth), Painter(eye))), mesh


def at(frame: np.ndarray, part, mesh: np.ndarray) -> np.ndarray:
    """The colour in the middle of a part."""
    x, y = np.rint(mesh[list(part.inner), :2].mean(0)).astype(int)
    return frame[y, x]


def test_parts_are_painted_where_they_are_and_nothing_else_changes():
    one, mesh = renderer()
    moved = opened(mesh, 0.12) + np.array([6, -4, 0], np.float32)
    moved[[*RIGHT.inner[1:8], *LEFT.inner[1:8]], 1] += 2  # upper lids
    frame, warp = next(one.frames([moved])), warp_of(size=SIZE)(moved)
    assert at(frame, MOUTH, moved).tolist() == [255] * 3
    assert at(frame, RIGHT, moved).tolist() == at(frame, LEFT, moved).tolist() == [0] * 3
    untouched = np.ones(frame.shape[:2], bool)
    for part in PARTS:
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
        place = part.crop(moved).points(np.stack([x, y], -1))
        untouched &= ((place < -2) | (place > np.array(part.size) + 1)).any(-1)
    assert 0.3 < untouched.mean() < 0.95
    np.testing.assert_array_equal(frame[untouched], warp[untouched])


def test_the_photo_itself_is_not_repaired():
    one, mesh = renderer()
    np.testing.assert_array_equal(next(one.frames([mesh])), warp_of(size=SIZE)(mesh))


def test_a_head_that_moves_as_a_whole_is_not_repaired():
    one, mesh = renderer()
    moved = mesh + np.array([9, 5, 0], np.float32)
    np.testing.assert_array_equal(next(one.frames([moved])), warp_of(size=SIZE)(moved))


def test_repair_sets_in_gradually():
    one, mesh = renderer()
    steps = [one.prepare(opened(mesh, amount)).strengths[0] for amount in (0, 0.003, 0.006, 0.03)]
    assert steps[0] == 0 and steps[-1] == 1 and 0 < steps[1] < steps[2] < 1


def test_batches_give_the_frames_in_order():
    one, mesh = renderer()
    meshes = [opened(mesh, amount) for amount in (0.02, 0.05, 0.1, 0.12, 0.07)]
    together = list(one.frames(meshes, batch_size=2))
    for frame, target in zip(together, meshes, strict=True):
        np.testing.assert_array_equal(frame, next(one.frames([target])))


def test_what_is_painted_in_a_sepia_photo_is_sepia():
    photo, _ = portrait(size=SIZE)
    grey = photo.astype(np.float32).mean(-1, keepdims=True)
    sepia = np.clip(grey * [1.0, 0.85, 0.65], 0, 255).astype(np.uint8)

    class Blue(Painter):
        def repair(self, warped, maps, photo, detail):
            blue = torch.tensor([-0.5, -0.5, 0.8]).view(1, 3, 1, 1).expand_as(warped)
            return blue.clone(), torch.ones_like(warped[:, :1])

    _, mesh = portrait(size=SIZE)
    one = RepairRenderer(PhotoFit.from_landmarks(sepia, mesh, load_bundled()), RepairNetworks(Blue(0), Blue(0)))
    moved = opened(mesh, 0.12)
    red, green, blue = at(next(one.frames([moved])), MOUTH, moved).astype(float)
    assert green / red == pytest.approx(0.85, abs=0.06) and blue / red == pytest.approx(0.65, abs=0.08)


def test_a_sharp_photo_keeps_half_of_the_warp_in_its_mouth_and_in_lids_that_are_half_way():
    """Networks have learned from soft frames: of sharp photos they paint veils."""
    shown = {}
    for size in (250, 900):
        photo, mesh = portrait(size=size)
        fit = PhotoFit.from_landmarks(photo, mesh, load_bundled())
        one = RepairRenderer(fit, RepairNetworks(Painter(1.0), Painter(1.0)))
        upper, lower = (list(RIGHT.inner[1:8]), list(RIGHT.inner[:8:-1]))
        for closed in (0.4, 1.0):
            moved = opened(mesh, 0.12)
            moved[upper] += closed * (moved[lower] - moved[upper])
            (frame,) = one.frames([moved])
            warp = one.warp(moved)
            shown[size, closed] = [
                (at(frame, part, moved).astype(float) - at(warp, part, moved)).sum()
                / (255 - at(warp, part, moved)).sum()
                for part in (MOUTH, RIGHT)
            ]
    assert shown[250, 0.4] == pytest.approx([1, 1], abs=0.03) and shown[250, 1.0] == pytest.approx([1, 1], abs=0.03)
    assert shown[900, 0.4] == pytest.approx([0.55, 0.4], abs=0.05)
    assert shown[900, 1.0] == pytest.approx([0.55, 1], abs=0.05)  # lids that are shut show nothing of the photo
