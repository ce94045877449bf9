import numpy as np
import pytest
from material import portrait
from media_files import write_video
from PIL import Image

from shared.face_model import load_bundled
from shared.motion import Motion


def test_track_a_photo_and_a_video(run, sine, tmp_path, photo, audio, refused):
    assert run("track", photo, "-o", tmp_path / "photo.npz")[0] == 0
    one = Motion.load(tmp_path / "photo.npz", face_model=load_bundled().fingerprint)
    assert len(one) == 1
    assert run("generate", photo, audio, "-o", tmp_path / "o.mp4")[0] == 0
    assert run("track", tmp_path / "o.mp4", "-o", tmp_path / "video.npz")[0] == 0
    video = Motion.load(tmp_path / "video.npz")
    assert len(video) == 10 and len(video.audio) == 6400 and video.confidence.min() == 1
    assert np.abs(video.rotation - one.rotation).max() < 0.2
    (tmp_path / "text.txt").write_text("nothing to see")
    refused("track", tmp_path / "text.txt", "-o", tmp_path / "n.npz", folder=tmp_path, saying="cannot read")
    refused("track", audio, "-o", tmp_path / "n.npz", folder=tmp_path, saying="no video")
    video = ("track", tmp_path / "o.mp4", "-o", tmp_path / "n.npz")
    refused(*video, "--face-index", 1, folder=tmp_path, saying="more than 1 face")


@pytest.mark.situation(
    "Drivers",
    "several people in a clip",
    "the largest face; --face-index or --face-box follows another one",
)
def test_the_chosen_person_of_a_clip_is_tracked(run, tmp_path):
    """The woman keeps still, the man comes nearer."""
    frames = []
    for i in range(8):
        canvas = Image.new("RGB", (480, 240), "grey")
        canvas.paste(portrait(230), (0, 5))
        canvas.paste(portrait(180 + 4 * i, "portrait_man"), (260, 20))
        frames.append(np.asarray(canvas))
    write_video(tmp_path / "two.mp4", frames)
    grown = []
    for choice in (("--face-index", 0), ("--face-index", 1), ("--face-box", "310,60,400,170")):
        code, _, err = run("track", tmp_path / "two.mp4", "-o", tmp_path / "m.npz", "--overwrite", *choice)
        assert code == 0 and err == ""
        grown.append(np.diff(Motion.load(tmp_path / "m.npz").translation[[0, -1], 2])[0])
    assert abs(grown[0]) < 0.02 and grown[1] > 0.08 and grown[2] > 0.08


@pytest.mark.situation(
    "Drivers", "a clip that is upside down", "all frames are turned, and a note says so; faces are counted in them"
)
def test_a_clip_that_is_upside_down_is_turned(run, tmp_path):
    """The head turns in the picture as it does the right way up."""
    frames = []
    for i in range(7):
        canvas = Image.new("RGB", (460, 300), "grey")
        canvas.paste(portrait(300).rotate(3 * i, fillcolor="grey"))
        frames.append(np.asarray(canvas))
    tracked = {}
    for name, clip in (("upright", frames), ("turned", [np.rot90(frame, 2) for frame in frames])):
        write_video(tmp_path / f"{name}.mp4", clip)
        code, _, err = run("track", tmp_path / f"{name}.mp4", "-o", tmp_path / f"{name}.npz")
        assert code == 0 and err.count("\n") == (name == "turned") and ("upside down" in err) == (name == "turned")
        tracked[name] = Motion.load(tmp_path / f"{name}.npz")
    for values in ("rotation", "translation"):
        np.testing.assert_allclose(*(getattr(motion, values) for motion in tracked.values()), atol=0.02)
    assert np.abs(tracked["turned"].expression - tracked["upright"].expression).mean() < 0.1
    code, _, err = run("track", tmp_path / "turned.mp4", "-o", tmp_path / "box.npz", "--face-box", "250,80,370,230")
    assert code == 0 and "upside down" in err
    np.testing.assert_allclose(Motion.load(tmp_path / "box.npz").rotation, tracked["upright"].rotation, atol=0.02)


def test_what_a_clip_lacks_is_said_in_one_line(run, tmp_path):
    face, blank = np.asarray(portrait()), np.full((240, 240, 3), 40, np.uint8)
    close = np.asarray(portrait(400).crop((80, 60, 320, 300)))
    write_video(tmp_path / "edited.mp4", [blank] * 15 + [face] * 6 + [close] * 6)
    code, _, err = run("track", tmp_path / "edited.mp4", "-o", tmp_path / "m.npz")
    assert code == 0 and len(err.splitlines()) == 1
    assert "no face in 15 of 27 frames" in err and "gap at 0.84 s" in err
    motion = Motion.load(tmp_path / "m.npz")
    assert np.ptp(motion.translation, axis=0).max() < 0.02 and motion.confidence.sum() == 12


def test_a_phones_photo_with_a_second_picture_is_a_photo(run, tmp_path):
    image = portrait()
    image.save(tmp_path / "p.jpg", format="MPO", save_all=True, append_images=[image.resize((60, 60))])
    code, _, err = run("track", tmp_path / "p.jpg", "-o", tmp_path / "m.npz", "--face-index", 0)
    assert (code, err) == (0, "") and len(Motion.load(tmp_path / "m.npz")) == 1


def test_an_animated_sticker_is_a_clip(run, tmp_path):
    image = portrait()
    frames = [image.rotate(3 * i, fillcolor="white") for i in range(1, 3)]
    image.save(tmp_path / "a.webp", save_all=True, append_images=frames, duration=80)
    code, _, err = run("track", tmp_path / "a.webp", "-o", tmp_path / "m.npz")
    assert (code, err) == (0, "") and len(Motion.load(tmp_path / "m.npz")) == 6


@pytest.mark.skipif("HEIF" in Image.registered_extensions().values(), reason="pillow-heif is installed")
def test_heic_is_refused_by_every_command_alike(refused, tmp_path, audio):
    heic = tmp_path / "p.mp4"
    heic.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(100))
    for command in (("track", heic), ("generate", heic, audio), ("motion", audio, "--photo", heic)):
        out = tmp_path / ("o.mp4" if command[0] == "generate" else "m.npz")
        refused(*command, "-o", out, folder=tmp_path, saying="pillow-heif")
