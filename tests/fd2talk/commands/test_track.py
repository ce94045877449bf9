import numpy as np
import pytest
from material import portrait
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
    refused(*video, "--face-index", 1, folder=tmp_path, saying="are for photos")


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
