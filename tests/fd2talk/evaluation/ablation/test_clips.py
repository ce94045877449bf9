"""Measurement of an ablation's variants."""

import numpy as np
import pytest
from material import SPEECH

from fd2talk.evaluation.ablation.clips import ClipMeasure
from fd2talk.evaluation.ablation.file import METRICS
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.faces.tracker import track_photo
from shared.media import VideoWriter, read_audio, read_image
from shared.tracking import Track, motion_from_track
from shared.weights import bundled


def test_clips_are_measured(config, prepared, tmp_path, monkeypatch):
    """The bundled weights on clips that they generated: scores are good, and no frames are needed."""
    monkeypatch.setattr("fd2talk.evaluation.ablation.clips.SqueezeDistance", lambda path: None)
    measure = ClipMeasure(tmp_path, prepared, "nowhere", "val", 0.12)
    measure._photos = {row["name"]: None for row in measure.rows}
    found = measure(bundled("fd2talk"), 0, [key for key, metric in METRICS.items() if metric.family != "image"])
    assert found["aperture_correlation"] > 0.9 and 0.8 < found["aperture_spread"] < 1.25
    assert found["lip_expert_confidence"] == found["second_expert_confidence"] > 0.2
    assert 0 < found["beat_align_audio"] <= 1 and found["head_diversity"] > 0.5
    assert all(map(np.isfinite, found.values()))
    with pytest.raises(InputError, match="no clips of split personal"):
        ClipMeasure(tmp_path, prepared, "nowhere", "personal", 0.12)


def test_frames_are_measured(photo, tmp_path, monkeypatch):
    """30 frames of a still photo with 25 frames of audio: its own motion reproduces it, generated motion less so."""
    monkeypatch.setattr("fd2talk.evaluation.ablation.clips.SqueezeDistance", lambda path: None)
    image, sound = read_image(photo), read_audio(SPEECH)[8000:24000]
    with VideoWriter(tmp_path / "still.mp4", image.shape[1::-1], audio=None) as video:
        for _ in range(30):
            video.write(image)
    for folder in ("motions", "tracks"):
        (tmp_path / folder).mkdir()
    track = Track.from_frames([track_photo(image)] * 30, sound)
    motion_from_track(load_bundled(), track).save(tmp_path / "motions" / "still.npz")
    crop = (track.crop.center_x, track.crop.center_y, track.crop.side)
    np.savez(tmp_path / "tracks" / "still.npz", landmarks=track.landmarks, confidence=track.confidence, crop=crop)
    header = "name,file,person,split,audio,face_px"
    (tmp_path / "index.csv").write_text(f"{header}\nstill,still.mp4,somebody,val,ok,120\n")
    found = ClipMeasure(tmp_path, tmp_path, "nowhere", "val", 0.12)(bundled("fd2talk"), 0, ["psnr", "psnr_driven"])
    assert set(found) == {"psnr", "psnr_driven"}
    assert found["psnr_driven"] > 30 and 12 < found["psnr"] < found["psnr_driven"]
