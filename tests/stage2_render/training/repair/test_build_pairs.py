"""The training set, from animated demo portraits whose meshes are known."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from one_process import HereExecutor
from portraits import portrait

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap
from shared.faces.crop import Crop
from shared.photo_fit import PhotoFit
from shared.tracking import Track, motion_from_track
from shared.video_writer import VideoWriter
from stage2_render.training.repair.build_pairs import Limits, build
from stage2_render.training.repair.pair_dataset import FILES, Pairs
from stage2_render.warp.mesh_warp import MeshWarp

LIMITS = Limits(pairs_per_person=24, pairs_per_portrait=2, val_pairs=3, val_portrait_pairs=2, portraits=1)
FRAMES, CUT = 32, 24


def clip(folder: Path, name: str) -> np.ndarray:
    """The meshes [T, 478, 3] of a video: a head nods, opens its mouth and blinks, from frame `CUT` on upside down."""
    image, landmarks = portrait(name, 256)
    fit = PhotoFit.from_landmarks(image, landmarks, load_bundled())
    warp = MeshWarp(image, landmarks, fit.crop)
    beat = 1 - np.cos(2 * np.pi * np.arange(FRAMES) / 10)[:, None]
    expression = fit.expression + 2.5 * beat * fit.model.extra["open"]
    blink = np.isin(np.arange(FRAMES), (2, 3, 8, 9, 14, 15, 20, 21))[:, None] * lid_gap(fit.vertices(fit.expression))
    expression = expression + blink * fit.model.extra["blink"]
    rotation = fit.rotation + 0.05 * beat * np.array([0.5, 1, 0])
    meshes = fit.vertices_px(expression, rotation, np.repeat(fit.translation[None], FRAMES, 0))
    with VideoWriter(folder / f"{name}.mp4", (256, 256)) as video:
        for index, mesh in enumerate(meshes):
            frame = warp(mesh)
            video.write(frame if index < CUT else np.ascontiguousarray(frame[::-1]))
    return meshes


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("material")
    for name in ("clips", "photos", "prepared/motions", "prepared/tracks"):
        (root / name).mkdir(parents=True)
    model, index = load_bundled(), ["name,file,person,split,face_px"]
    for name, split in (("portrait_woman", "train"), ("portrait_man", "val")):
        meshes = clip(root / "clips", name)
        track = Track.from_frames(list(meshes))
        motion_from_track(model, track, source=name).save(root / "prepared" / "motions" / f"{name}.npz")
        crop = [track.crop.center_x, track.crop.center_y, track.crop.side]
        np.savez(root / "prepared" / "tracks" / f"{name}.npz", landmarks=meshes, confidence=track.confidence, crop=crop)
        index.append(f"{name},{name}.mp4,{name},{split},200")
    # Too small a face, used for its motion alone; and the person kept for personalisation, whose files are not read.
    shutil.copy(root / "prepared/motions/portrait_woman.npz", root / "prepared/motions/small.npz")
    index += ["small,small.mp4,small,train,90", "own,own.mp4,own,personal,200"]
    (root / "prepared" / "index.csv").write_text("\n".join(index) + "\n")
    names = ["portrait_woman_2", "portrait_man_2"]
    stills = [portrait(name, 256) for name in names]
    for name, (image, _) in zip(names, stills):
        cv2.imwrite(str(root / "photos" / f"{name}.png"), image[..., ::-1])
    crops = [Crop.around(points) for _, points in stills]
    np.savez(
        root / "prepared" / "portraits.npz",
        names=[f"{name}.png" for name in names],
        splits=["train", "val"],
        points=np.stack([points for _, points in stills]),
        crops=[[crop.center_x, crop.center_y, crop.side] for crop in crops],
    )
    return root


def build_small(material: Path, out: Path, **more) -> Path:
    build(material / "prepared", material / "clips", material / "photos", out, limits=LIMITS, **more)
    return out


@pytest.fixture(scope="module")
def built(material, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stage2_render.training.repair.build_pairs.ProcessPoolExecutor", HereExecutor)
        return build_small(material, tmp_path_factory.mktemp("out") / "pairs", workers=1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_row_is_complete(built, split):
    pairs = Pairs(built / split)
    count = len(pairs)
    assert count >= 4
    for name, shape in FILES.items():
        rows = pairs.files[name]
        assert rows.dtype == np.uint8 and rows.shape[1:] == shape
        assert len(rows) == (pairs.reference.max() + 1 if "reference" in name else count)
    assert FILES["mouth_target"] == (1, 128, 160, 3) and FILES["eye_maps"] == (2, 2, 28, 40)
    assert pairs.boxes.shape == (count, 3, 4) and (pairs.boxes[..., 2:] > pairs.boxes[..., :2] + 5).all()
    assert set(pairs.kind) == {"clip", "portrait"} and len(pairs.opened) == len(pairs.person) == count
    assert set(pairs.face[pairs.kind == "clip"]) == {200}
    assert set(pairs.reference) == set(range(len(pairs.files["mouth_reference"])))
    for values in (pairs.boxes, pairs.opened):
        assert values.dtype == np.float32 and np.isfinite(values).all()


def test_splits_have_their_own_people(built):
    assert set(Pairs(built / "train").person) == {"portrait_woman", "portrait:portrait_woman_2.png"}
    assert set(Pairs(built / "val").person) == {"portrait_man", "portrait:portrait_man_2.png"}


@pytest.mark.parametrize("network", ["mouth", "eye"])
def test_the_warp_is_closer_to_the_target_than_the_reference(built, network):
    pairs = Pairs(built / "train")
    target = pairs.files[f"{network}_target"].astype(int)
    reference = pairs.files[f"{network}_reference"][pairs.reference]
    errors = [np.abs(images - target).mean() for images in (pairs.files[f"{network}_warped"], reference)]
    assert errors[0] < 8 and errors[0] < {"mouth": 0.7, "eye": 0.95}[network] * errors[1]


def test_opened_agrees_with_the_maps(built):
    pairs = Pairs(built / "train")
    maps, before = (pairs.files[name][:, 0, 0].astype(float) for name in ("mouth_maps", "mouth_reference_maps"))
    grown = maps.sum((1, 2)) - before[pairs.reference].sum((1, 2))
    assert np.corrcoef(grown, pairs.opened)[0, 1] > 0.9
    assert (pairs.opened > 0.05).any()


def test_shut_eyes_agree_with_the_maps(built):
    pairs = Pairs(built / "train")
    openings = pairs.files["eye_maps"][:, :, 0].astype(float).sum((1, 2, 3))
    assert pairs.shut.dtype == bool and 1 <= pairs.shut.sum() < len(pairs) / 2
    assert openings[pairs.shut].max() < 0.7 * np.median(openings[~pairs.shut & (pairs.kind == "clip")])


def test_no_pair_spans_a_cut(built):
    """After the cut the video is upside down, and filtered motion near it is wrong."""
    pairs = Pairs(built / "train")
    clips = pairs.kind == "clip"
    target = pairs.files["mouth_target"][clips].astype(int)
    change = np.abs(pairs.files["mouth_warped"][clips] - target).mean((1, 2, 3, 4))
    assert change.max() < 25


def test_references_of_val_are_first_frames(built):
    pairs = Pairs(built / "val")
    assert len(set(pairs.reference[pairs.kind == "clip"])) == 1


def test_the_same_arguments_give_the_same_set(built, material, tmp_path):
    again = build_small(material, tmp_path / "again", workers=2)
    for split in ("train", "val"):
        for name in FILES:
            np.testing.assert_array_equal(
                np.load(again / split / f"{name}.npy"), np.load(built / split / f"{name}.npy"), err_msg=name
            )


def test_a_set_is_not_overwritten(built, material):
    with pytest.raises(UsageError, match="exists"):
        build_small(material, built)


def test_a_failure_leaves_nothing(material, tmp_path):
    with pytest.raises(InputError, match="portrait_woman"):
        build(material / "prepared", tmp_path / "nowhere", material / "photos", tmp_path / "out", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_unprepared_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="not found; create it with `fd2talk prepare"):
        build(tmp_path, tmp_path, tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="not a set of pairs"):
        Pairs(tmp_path)
