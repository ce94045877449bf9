"""What the evaluations of the renderer count, on made-up figures and on the demo portrait."""

import os
from pathlib import Path

import ablate_renderer
import cv2
import numpy as np
import pytest
import torch
from ablate_renderer import VARIANTS
from evaluate_autoencoder import Taef2, measure, own_coder
from evaluate_pictures import choose
from evaluate_renderer import parse, system
from evaluate_sharpness import PARTS, part_masks, ratio
from renderer_tables import Findings, print_tables, print_wins, wins
from scipy.spatial.transform import Rotation

from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_aperture
from shared.media import read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.render_model import save_network


@pytest.fixture(scope="module")
def photo():
    return PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")), load_bundled())


def still(photo, frames):
    """A motion of that many frames in which nothing moves."""
    own = (photo.expression, photo.rotation, photo.translation)
    return Motion(*(np.tile(values, (frames, 1)) for values in own), photo.model.fingerprint)


def test_a_system_is_a_name_with_settings():
    assert parse("warp", "bundled") == ("warp", "bundled", {})
    assert parse("diffusion", "mine") == ("diffusion", "mine", {})
    assert parse("diffusion:steps=4,detail=off,noise=own,geometry=on,weights=a/b", "mine") == (
        "diffusion",
        "a/b",
        {"steps": 4, "detail_transfer": False, "shared_noise": False, "geometry_guidance": True},
    )


@pytest.mark.parametrize("wrong", ["toaster", "warp:steps=2", "diffusion:steps=two", "diffusion:detail=maybe"])
def test_there_is_no_such_system(wrong):
    with pytest.raises(UsageError, match="there is no system|no setting"):
        system(wrong, "bundled")


def test_every_ablation_is_a_system():
    for config, switches in VARIANTS.values():
        assert parse(f"diffusion:weights=x/{config},{switches}", "bundled")[1] == f"x/{config}"


def test_systems_render_with_the_weights_they_name(photo, renderer_weights):
    motion = still(photo, 1)
    # The folder of the renderer's files itself, and the one it lies in.
    own, within = (
        system(f"diffusion:weights={f}", "bundled") for f in (renderer_weights / "renderer", renderer_weights)
    )
    frames = [next(iter(render(photo, motion))) for render in (own, within)]
    np.testing.assert_array_equal(*frames)
    plain = next(iter(system("diffusion:detail=off", str(renderer_weights))(photo, motion)))
    assert np.abs(plain.astype(int) - frames[0]).max() > 0
    np.testing.assert_array_equal(*(next(iter(system(n, "bundled")(photo, motion))) for n in ("still", "warp")))


def found(**gains):
    """Two people, a frame of each group; `learned` gains so many dB on the warp and halves its distance."""
    rows = []
    for person in ("a", "b"):
        for mouth in ("opened", "closed", "unchanged"):
            about = {"person": person, "frame": 5, "mouth": mouth, "moved": 3.0, "turned": 1.0}
            rows.append({**about, "system": "real", "identity": 0.9})
            for name, gain, distance in (("still", -3, 0.5), ("warp", 0, 0.4), ("learned", gains.get(mouth, 2), 0.2)):
                of_part = {"psnr": 24 + gain, "ssim": 0.8 + gain / 100, "distance": distance}
                parts = {f"{part}{key}": v for part in ("", "mouth_", "eyes_") for key, v in of_part.items()}
                rows.append({**about, "system": name, **parts, "identity": 0.85, "sharpness": 0.9})
    return Findings(rows, {"still": [0.0], "warp": [0.0], "learned": [0.1, 0.4]})


def test_enough_is_told_from_too_little():
    good = wins(found(), "learned")
    assert [passed for _, passed in good] == [True] * 7
    assert good[0][0] == "+2.00 dB, -50%" and good[-1][0] == "0.400"
    for group, at in (("opened", 0), ("closed", 1), ("unchanged", 2)):
        verdicts = [passed for _, passed in wins(found(**{group: -0.2}), "learned")]
        assert verdicts[at] is False and sum(passed is False for passed in verdicts) == 1
    assert [passed for _, passed in wins(found(), "warp")] == [None] * 7


def test_findings_are_kept_and_put_together(tmp_path, capsys):
    whole = found()
    for name in ("still", "warp", "learned"):
        rows = [row for row in whole.rows if row["system"] in ("real", name)]
        Findings(rows, {name: whole.rests[name]}).save(tmp_path / f"{name}.json")
    merged = Findings()
    merged.add(tmp_path / "still.json")
    merged.add(tmp_path / "warp.json")
    merged.add(tmp_path / "learned.json", "mine")
    assert len(merged.rows) == len(whole.rows) and merged.rests["mine"] == [0.1, 0.4]
    assert wins(merged, "mine") == wins(whole, "learned")
    print_tables(merged, ["warp", "mine"])
    print_wins(merged, ["warp", "mine"])
    printed = capsys.readouterr().out
    assert "| mine | 26.00 | 0.820 | 0.200 | 0.850; 0.850 | 0.90 | 0.400 |" in printed
    assert printed.count("PASS") == 7 and "short" not in printed


def test_ablations_go_on_where_they_stopped(tmp_path, monkeypatch, capsys):
    ran = []

    def run(*arguments):
        ran.append(arguments)
        if "train" in arguments:
            best = Path("runs") / f"ablation_{arguments[-1].stem}" / "best"
            best.mkdir(parents=True, exist_ok=True)
            if not (best / "unet.safetensors").exists():  # a finished training leaves its weights alone
                (best / "unet.safetensors").touch()
            return
        names = [value for option, value in zip(arguments, arguments[1:]) if option == "--system"]
        of = {name: name if name in ("still", "warp") else "learned" for name in names}
        rows = [{**row, "system": name} for name in names for row in found().of(of[name])]
        path = arguments[arguments.index("--json") + 1]
        Findings(found().of("real") + rows, {name: [0.1] for name in names}).save(path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablate_renderer, "_run", run)
    ablate_renderer.main(["--limit", "2"], standalone_mode=False)
    table = capsys.readouterr().out
    assert len(ran) == 4 + 1 + len(VARIANTS)
    assert table.count("\n| ") == 2 + 2 + len(VARIANTS) and "| conditions concatenated | +2.00 dB, -50% PASS" in table
    ran.clear()
    os.utime("runs/ablation_concatenated/best/unet.safetensors", (2**32, 2**32))
    ablate_renderer.main(["--limit", "2"], standalone_mode=False)
    assert capsys.readouterr().out == table
    evaluated = [arguments for arguments in ran if "train" not in arguments]
    assert [arguments[2] for arguments in evaluated] == ["diffusion:weights=runs/ablation_concatenated/best"]


def test_sharpness_is_measured_where_the_part_is(photo):
    masks = part_masks(photo.landmarks, photo.image.shape[:2])
    inside = {name: masks[name].mean() for name in PARTS}
    assert all(0.002 < share < 0.2 for share in inside.values()), inside
    assert not (masks["skin"] & (masks["eyes"] | masks["lips"] | masks["hair"])).any()
    rows = np.nonzero(masks["hair"])[0]
    assert rows.max() < photo.landmarks[[33, 263], 1].mean() + 20
    same = ratio(photo, photo.image, photo.landmarks)
    assert all(value == 1 for value in same.values())
    blurred = ratio(photo, cv2.GaussianBlur(photo.image, (0, 0), 1.5), photo.landmarks)
    assert all(value < 0.6 for value in blurred.values())
    shut = photo.landmarks.copy()
    for upper, lower in ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)):
        shut[upper] = shut[lower]
    assert np.isnan(ratio(photo, photo.image, shut)["eyes"])


def test_frames_of_the_sheet_ask_most(photo):
    motion = still(photo, 10)
    jaw = np.argmax(np.abs(lip_aperture(photo.vertices(photo.expression + 2 * np.eye(len(photo.expression))))))
    motion.expression[3, jaw] += 2
    motion.rotation[7, 0] += 0.1
    chosen = choose(photo, motion)
    apertures = lip_aperture(photo.vertices(chosen.expression))
    assert len(chosen) == 6 and np.allclose(apertures[:3], apertures.max()) and apertures[3] < apertures[0]
    own = Rotation.from_rotvec(photo.rotation)
    turns = np.degrees((Rotation.from_rotvec(chosen.rotation) * own.inv()).magnitude())
    np.testing.assert_allclose(turns[:3], [0, 15, 15], atol=0.1)
    assert turns[4] == turns[3:].max() > 5


def difference(made, real):
    return (made - real).abs().mean((1, 2, 3))


def test_an_autoencoder_is_judged_without_the_warp(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    np.testing.assert_allclose(measure(lambda _, picture: picture, pictures, pictures, difference)[:, 1:], [[1, 0]] * 3)
    smooth = np.stack([cv2.GaussianBlur(picture, (0, 0), 12) for picture in pictures])
    autoencoder = Autoencoder(AutoencoderConfig(latent_channels=6, coarse=8, fine=8, fine_blocks=1))
    autoencoder.start_from(torch.from_numpy(smooth).permute(0, 3, 1, 2).float() / 127.5 - 1)
    save_network(autoencoder, tmp_path / "autoencoder.safetensors", {})
    figures = measure(own_coder(tmp_path), smooth, smooth, difference)
    assert figures.shape == (3, 3) and (figures[:, 0] > 30).all()


def test_taef2_is_built_from_its_tensors(tmp_path):
    """Of random numbers in the published layout: an eighth of the size and back."""
    halvings, deep, out = (2, 6, 10), (11, 12, 13), 14
    encoder = {"0": (64, 3, True), **{str(k): (64, 64, False) for k in halvings}, str(out): (32, 64, True)}
    decoder = {"1": (64, 32, True), **{str(k): (64, 64, False) for k in (7, 12, 17)}, "19": (3, 64, True)}
    for name, entries, last, wide in (("encoder", encoder, 15, deep), ("decoder", decoder, 20, (3, 4, 5))):
        tensors = {}
        for index in range(last):
            if str(index) in entries:
                made, given, bias = entries[str(index)]
                tensors[f"{index}.weight"] = 0.05 * torch.randn(made, given, 3, 3)
                if bias:
                    tensors[f"{index}.bias"] = torch.zeros(made)
            elif name == "encoder" or index not in (0, 2, 6, 11, 16):
                for k in (0, 2, 4):
                    tensors[f"{index}.conv.{k}.weight"] = 0.05 * torch.randn(64, 64, 3, 3)
                    tensors[f"{index}.conv.{k}.bias"] = torch.zeros(64)
                if index in wide:
                    tensors[f"{index}.pool.0.weight"] = 0.05 * torch.randn(256, 64, 1, 1)
                    tensors[f"{index}.pool.1.weight"] = torch.ones(256)
                    tensors[f"{index}.pool.1.bias"] = torch.zeros(256)
                    tensors[f"{index}.pool.3.weight"] = 0.05 * torch.randn(64, 256, 1, 1)
        torch.save({key: value.half() for key, value in tensors.items()}, tmp_path / f"{name}.pth")
    taef2 = Taef2(tmp_path / "encoder.pth", tmp_path / "decoder.pth")
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    assert taef2._encoder(picture).shape == (1, 32, 8, 8)
    assert taef2.code(picture, picture).shape == picture.shape
