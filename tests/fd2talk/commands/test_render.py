import numpy as np
import pytest
from material import portrait

from shared.faces.tracker import track_photo
from shared.media import read_video


def test_the_command_line_chooses(run, renderer_weights, tmp_path, photo, motion_file):
    base = ("render", photo, motion_file, "--weights", renderer_weights)
    videos = {
        "geometry": ("--renderer", "geometry"),
        "repair": (),
        "diffusion": ("--renderer", "diffusion", "--render-steps", 1),
        "tuned": ("--renderer", "diffusion", "--render-steps", 2, "--no-shared-noise"),
    }
    frames = {}
    for name, options in videos.items():
        code, out, err = run(*base, "-o", tmp_path / f"{name}.mp4", *options)
        assert code == 0 and out.strip() == str(tmp_path / f"{name}.mp4"), err
        # What had the name diffusion before is another renderer now.
        assert ("is now repair" in err) == ("diffusion" in options)
        frames[name] = np.stack(list(read_video(tmp_path / f"{name}.mp4"))).astype(float)
    for one, other, least in [("geometry", "repair", 0.05), ("geometry", "diffusion", 1), ("diffusion", "tuned", 1)]:
        assert frames[one].shape == frames[other].shape
        assert np.abs(frames[one] - frames[other]).mean() > least


def test_compare_puts_them_side_by_side(run, renderer_weights, tmp_path, photo, motion_file):
    base = ("render", photo, motion_file, "--weights", renderer_weights)
    assert run(*base, "--renderer", "geometry", "-o", tmp_path / "warp.mp4", "--max-size", 120)[0] == 0
    diffusion = ("--compare", "--renderer", "diffusion", "--render-steps", 1)
    code, _, err = run(*base, *diffusion, "--real", tmp_path / "warp.mp4", "-o", tmp_path / "all.mp4")
    assert code == 0, err
    warps = list(read_video(tmp_path / "warp.mp4"))
    shown = list(read_video(tmp_path / "all.mp4"))
    assert len(shown) == len(warps) == 10
    assert shown[0].shape == (240 + 32, 3 * 240, 3)
    for frame, warp in zip(shown, warps):
        left, middle, right = (frame[32:, k * 240 : (k + 1) * 240][::2, ::2].astype(int) for k in range(3))
        assert np.abs(left - right).mean() < 4 < np.abs(middle - right).mean()
        assert np.abs(right - warp).mean() < 4
    # Every panel has its name over it.
    assert all(shown[0][:32, k * 240 : (k + 1) * 240].max() > 150 for k in range(3))


def test_combinations_that_make_no_sense(refused, tmp_path, photo, audio, motion_file):
    render = ("render", photo, motion_file, "-o", tmp_path / "o.mp4")
    for extra, saying in [
        (("--renderer", "toaster"), "--renderer"),
        (("--renderer", "diffusion", "--render-steps", 0), "--render-steps"),
        (("--renderer", "diffusion", "--render-steps", 1001), "--render-steps"),
        (("--renderer", "geometry", "--render-steps", 2), "--render-steps is for"),
        (("--render-steps", 2), "--render-steps is for"),
        (("--renderer", "geometry", "--no-shared-noise"), "--no-shared-noise is for"),
        (("--compare", "--renderer", "geometry"), "--compare"),
        (("--renderer", "geometry", "--precision", "bf16"), "no networks"),
        (("--precision", "fp8"), "--precision"),
        (("--real", photo), "--compare"),
        (("--compare", "--real", tmp_path / "none.mp4"), "none.mp4"),
        (("--compare", "--real", audio), "no video"),
    ]:
        refused(*render, *extra, folder=tmp_path, saying=saying)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "diffusion").mkdir()
    for name, saying in (("w", "no weights of the renderer diffusion"), ("none", "no such folder of weights")):
        refused(*render, "--weights", tmp_path / name, "--renderer", "diffusion", folder=tmp_path, saying=saying)
    refused(*render, "--weights", tmp_path / "w" / "diffusion", folder=tmp_path, saying="no weights of the renderer")


def test_weights_of_another_renderer_are_noted(run, renderer_weights, tmp_path, photo, motion_file):
    weights = ("--weights", renderer_weights)
    code, _, err = run("render", photo, motion_file, "-o", tmp_path / "o.mp4", "--max-size", 120, *weights)
    assert code == 0 and f"{renderer_weights} has no weights of the renderer repair: the bundled ones are used" in err


@pytest.mark.situation(
    "Drivers",
    "a photo as driver",
    "its expression and its angle to the camera, with a note",
)
def test_a_photo_gives_its_expression_and_pose(run, tmp_path, photo):
    """The head tilts as that in the photo."""
    portrait(200, "portrait_man").rotate(12).save(tmp_path / "tilted.png")
    code, _, err = run("render", photo, tmp_path / "tilted.png", "-o", tmp_path / "o.mp4", "--renderer", "geometry")
    assert code == 0 and "is a photo, no motion file" in err
    (frame,) = read_video(tmp_path / "o.mp4")
    eyes = track_photo(frame)[[33, 263], :2]
    assert np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1])) == pytest.approx(-12, abs=2)
