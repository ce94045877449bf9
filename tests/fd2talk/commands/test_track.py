import numpy as np

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
