"""`fd2talk style`, and `--style` of `fd2talk motion`."""

import numpy as np
import pytest
from tiny_diffposetalk import write_diffposetalk

from shared.face_model import load_bundled
from shared.motion import Motion
from stage1_motion.style import Style


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_diffposetalk(tmp_path_factory.mktemp("diffposetalk"))


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """Motion of two people: two seconds each."""
    model, paths = load_bundled(), []
    for index in range(2):
        random = np.random.default_rng(index)
        path = tmp_path_factory.mktemp("motions") / f"{index}.npz"
        Motion(
            expression=random.normal(0, 0.3 + index, (50, model.num_expression)).astype(np.float32),
            rotation=random.normal(0, 0.02, (50, 3)).astype(np.float32),
            translation=np.zeros((50, 3), np.float32),
            face_model=model.fingerprint,
            identity=np.zeros(model.num_identity, np.float32),
        ).save(path)
        paths.append(path)
    return paths


def test_a_style_from_a_motion_shapes_another_one(run, weights, talking, audio, tmp_path):
    for index, path in enumerate(talking):
        style = tmp_path / f"style{index}.npz"
        code, printed, err = run("style", path, "-o", style, "--weights", weights, "--terms", "mine")
        assert (code, printed.strip(), err) == (0, str(style), "")
        assert (Style.load(style).source, Style.load(style).terms) == (path.name, "mine")

    def expression(*options):
        out = tmp_path / "motion.npz"
        assert run("motion", audio, "-o", out, "--weights", weights, "--overwrite", *options)[0] == 0
        return Motion.load(out).expression

    plain = expression()
    first, second = (expression("--style", tmp_path / f"style{i}.npz") for i in range(2))
    assert not np.allclose(first, second, atol=1e-4) and not np.allclose(first, plain, atol=1e-4)
    assert np.allclose(expression("--style", talking[0]), first, atol=1e-5)  # the motion itself in its place
    assert np.allclose(expression("--style", tmp_path / "style0.npz", "--style-scale", 0), plain, atol=1e-4)
    assert not np.allclose(expression("--style", "calm"), plain, atol=1e-4)
    assert Motion.load(tmp_path / "motion.npz").source == "diffposetalk, seed 0, style calm"
    assert np.allclose(expression("--style", tmp_path / "style1.npz"), second, atol=1e-5)
    assert Motion.load(tmp_path / "motion.npz").source == "diffposetalk, seed 0, style 1.npz"


def test_what_is_no_style_is_one_line(run, weights, talking, audio, photo, tmp_path):
    out, nothing = tmp_path / "out.npz", tmp_path / "no.npz"
    Motion.load(talking[0]).slice(0, 5).save(tmp_path / "short.npz")
    foreign = Motion.load(talking[0])
    foreign.face_model = "flame:0123456789abcdef"
    foreign.save(tmp_path / "foreign.npz")
    for arguments, message in (
        (("style", tmp_path / "short.npz"), "5 frames are too few to tell a speaking style"),
        (("style", tmp_path / "foreign.npz"), "belongs to face model flame:0123456789abcdef"),
        (("style", photo), "is a photo; a clip of somebody who talks is needed"),
        (("style", nothing), "no such file"),
        (("motion", audio, "--style", "angry"), "there is no style 'angry' (there are: calm)"),
        (("motion", audio, "--style", "s" * 300), "sss' (there are: calm)"),
        (("motion", audio, "--style", tmp_path / "short.npz"), "5 frames are too few"),
        (("motion", audio, "--style", nothing), "no such file"),
        (("motion", audio, "--model", "fd2talk"), "not of fd2talk"),
    ):
        code, printed, err = run(*arguments, "-o", out, "--weights", weights)
        assert code == 2 and message in err and err.count("\n") == 1 and not printed and not out.exists()
    code, _, err = run("motion", audio, "--style", "calm", "-o", out)
    assert code == 2 and "the motion model fd2talk takes no style; use --model diffposetalk" in err
    code, _, err = run("motion", audio, "--style-scale", 2, "-o", out)
    assert code == 2 and "the motion model fd2talk takes no style" in err
    code, _, err = run("motion", audio, "--style-scale", -2, "-o", out, "--weights", weights)
    assert code == 2 and "--style-scale" in err and not out.exists()
    (tmp_path / "style.npz").write_bytes(b"")
    assert run("style", talking[0], "-o", tmp_path / "style.npz", "--weights", weights)[0] == 2
    assert (tmp_path / "style.npz").read_bytes() == b""


def test_the_folder_of_a_style_is_made(run, weights, talking, tmp_path):
    out = tmp_path / "new" / "folder" / "s.npz"
    assert run("style", talking[0], "-o", out, "--weights", weights)[0] == 0
    assert Style.load(out).source == talking[0].name


def test_names_win_over_files(run, refused, weights, audio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("calm", "angry"):
        (tmp_path / name).mkdir()
    base = ("motion", audio, "-o", tmp_path / "m.npz", "--weights", weights, "--style")
    assert run(*base, "calm")[0] == 0
    (tmp_path / "m.npz").unlink()
    refused(*base, "angry", folder=tmp_path, saying="it is a folder")
    refused(*base, "", folder=tmp_path, saying="--style is empty")


def test_frames_without_a_face_do_not_count(run, refused, weights, talking, tmp_path):
    whole = Motion.load(talking[0])
    whole.save(tmp_path / "whole.npz")
    rest = np.zeros((30, whole.expression.shape[1]), np.float32), whole.rotation[:30], whole.translation[:30]
    gap = Motion(*rest, whole.face_model, identity=whole.identity, confidence=np.zeros(30))
    whole.confidence = np.ones(50, np.float32)
    whole.slice(0, 20).concat(gap).concat(whole.slice(20, 50)).save(tmp_path / "gap.npz")
    for name in ("whole", "gap"):
        out = tmp_path / f"{name}_style.npz"
        code, _, err = run("style", tmp_path / f"{name}.npz", "-o", out, "--weights", weights)
        assert code == 0
    assert err.count("\n") == 1 and "leaves out 30 of 80 frames" in err
    one, other = (Style.load(tmp_path / f"{name}_style.npz").vector for name in ("whole", "gap"))
    assert np.allclose(one, other, atol=1e-5)
    few, out = tmp_path / "few.npz", tmp_path / "o.npz"
    for seen, saying in ((5, "5 frames are too few"), (0, "no frame of the motion shows a face")):
        short = whole.slice(0, 50)
        short.confidence = (np.arange(50) < seen).astype(np.float32)
        short.save(few, overwrite=True)
        code, _, err = run("style", few, "-o", out, "--weights", weights)
        assert code == 2 and saying in err and not out.exists()


def test_other_files_in_the_place_of_a_clip(run, refused, weights, talking, audio, tmp_path):
    style, out = tmp_path / "s.npz", tmp_path / "o.npz"
    assert run("style", talking[0], "-o", style, "--terms", "mine", "--weights", weights)[0] == 0
    base = ("-o", out, "--weights", weights)
    saying = "s.npz is a style file already (made from 0.npz, terms: mine)"
    refused("style", style, *base, folder=tmp_path, saying=saying)
    refused("style", talking[0], *base, "--face-index", 0, folder=tmp_path, saying="no faces to choose from")
    other = Style.load(style)
    other.encoder = "another"
    other.save(tmp_path / "other.npz")
    saying = f"{tmp_path / 'other.npz'}: the style was made by another style encoder"
    refused("motion", audio, *base, "--style", tmp_path / "other.npz", folder=tmp_path, saying=saying)
    other.encoder, other.vector = Style.load(style).encoder, np.eye(9, dtype=np.float32)[0]
    other.save(tmp_path / "other.npz", overwrite=True)
    saying = "other.npz: the style has shape [9], those of this encoder [8]"
    refused("motion", audio, *base, "--style", tmp_path / "other.npz", folder=tmp_path, saying=saying)


def test_options_without_effect_are_refused(refused, weights, audio, tmp_path):
    base = ("motion", audio, "-o", tmp_path / "o.npz", "--weights", weights)
    refused(*base, "--style-scale", 4, folder=tmp_path, saying="(--style-scale) needs a style")
    refused(*base, "--pose-steps", 5, folder=tmp_path, saying="pose_steps has no effect on the motion model diff")
