"""`fd2talk edit` of a video; `test_edit` is about motion files."""

from dataclasses import replace

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from material import fitted_portrait, sine_motion, write_wav
from media_files import tone, write_video
from PIL import Image

from shared.audio import read_audio
from shared.media import read_video
from shared.video_writer import SYNTHETIC_TAGS, _planes
from stage2_render.pipeline import RenderPipeline

FRAMES = 30
CLICKS = {"video": (0.2, 0.6, 1.0), "new": (0.28, 0.68, 1.08)}


class Stage:
    """Stands in for `MotionPipeline`: opens the mouth in all frames that are not given."""

    @classmethod
    def from_pretrained(cls, name="bundled", *, model=None, person=None, device="cpu"):
        return cls()

    def edit(self, motion, speech=None, constraint=None, **_):
        from shared.audio import frame_count
        from shared.face_model import load_bundled

        audio = motion.audio if speech is None else speech
        count = frame_count(len(audio))
        at = np.minimum(np.arange(count), len(constraint.motion) - 1)
        kept = np.pad(constraint.mask.all(1), (0, count - len(constraint.mask)))
        arrays = {name: getattr(constraint.motion, name)[at] for name in ("expression", "rotation", "translation")}
        arrays["expression"] = arrays["expression"] + np.where(kept, 0, 5)[:, None] * load_bundled().extra["open"]
        return replace(motion, **arrays, audio=audio, confidence=None)


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr("stage1_motion.pipeline.MotionPipeline", Stage)


def clicks(name, seconds):
    sound = np.zeros(round(seconds * 16000), np.float32)
    for time in CLICKS[name]:
        sound[round(time * 16000) :][:80] = tone(1 / 200, 16000, 2000)
    return sound


def heard(path):
    """When there are clicks, in seconds."""
    loud = np.flatnonzero(np.abs(read_audio(path)) > 0.15) / 16000
    return [float(first) for first, before in zip(loud, [-1, *loud]) if first - before > 0.05]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A portrait that talks, and the recording that it shall say."""
    folder = tmp_path_factory.mktemp("clip")
    photo = fitted_portrait()
    motion = sine_motion(np.zeros(FRAMES * 640, np.float32), photo)
    frames = list(RenderPipeline(photo.model)(photo, motion, workers=0))
    video = write_video(folder / "clip.mp4", frames, audio=clicks("video", 1.2), crf=8)
    return video, write_wav(folder / "new.wav", clicks("new", 1.32))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean(np.square(one.astype(float) - other)))


def test_edit_a_video(run, stage, clip, tmp_path):
    """Frames 10 to 19 are kept, 30 to 32 lie behind the end."""
    video, new = clip
    out = tmp_path / "out.mp4"
    code, _, err = run(
        "edit", video, "--audio", new, "-o", out, "--keep", "0.4:0.8", "--preview", "--renderer", "geometry"
    )
    assert code == 0 and err == ""
    with av.open(str(out)) as container:
        assert container.metadata["synthetic_media"] == SYNTHETIC_TAGS["synthetic_media"]
        planes = [frame.to_ndarray() for frame in container.decode(video=0)]
    before, after = (list(read_video(path, exact=True)) for path in (video, out))
    assert len(after) == len(planes) == 33 and after[0].shape == before[0].shape
    assert min(psnr(_planes(before[i]), planes[i]) for i in range(10, 20)) >= 48
    if hasattr(Interpolation, "ACCURATE_RND"):
        assert min(psnr(before[i], after[i]) for i in range(10, 20)) >= 45
    mouth = [np.abs(after[i].astype(float) - before[i])[130:180, 90:150].mean() for i in range(FRAMES)]
    assert min(mouth[:7] + mouth[23:]) > 2 * max(mouth[10:20])
    np.testing.assert_allclose(heard(out), [0.28, 0.6, 1.08], atol=0.005)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size[0] == 1280


def test_a_cut_moves_pictures_and_sound(run, stage, clip, tmp_path):
    out = tmp_path / "out.mp4"
    code, _, err = run("edit", clip[0], "-o", out, "--cut", "0.4:0.8", "--renderer", "geometry")
    assert code == 0 and err == ""
    before, after = list(read_video(clip[0])), list(read_video(out))
    assert len(after) == 20
    assert max(np.abs(after[i].astype(float) - before[j]).mean() for i, j in ((3, 3), (16, 26))) < 1.5
    assert np.abs(after[16].astype(float) - before[16]).mean() > 2
    np.testing.assert_allclose(heard(out), [0.2, 0.6], atol=0.005)


@pytest.mark.parametrize("silent", [False, True])
def test_the_beginning_is_cut_off(run, clip, tmp_path, silent):
    """Nothing is generated; a seam in a silent film needs --unconditional."""
    out, video = tmp_path / "out.mp4", clip[0]
    before = list(read_video(video))
    if silent:
        video = write_video(tmp_path / "silent.mp4", before)
        before = list(read_video(video))
    code, _, err = run("edit", video, "-o", out, "--cut", "0:0.8", "--renderer", "geometry", "--preview")
    after = list(read_video(out))
    assert (code, err, len(after)) == (0, "", 10)
    assert max(np.abs(after[i].astype(float) - before[20 + i]).mean() for i in range(10)) < 1.5
    if not silent:
        np.testing.assert_allclose(heard(out), [0.2], atol=0.005)
        return
    arguments = ("edit", video, "-o", tmp_path / "seam.mp4", "--cut", "0.4:0.8", "--renderer", "geometry")
    code, _, err = run(*arguments)
    assert code == 2 and "has no sound" in err and "--unconditional" in err
    assert run(*arguments, "--unconditional")[0] == 0 and len(list(read_video(tmp_path / "seam.mp4"))) == 20


def test_requests_that_are_refused(stage, clip, tmp_path, refused, motion_file, audio):
    out = tmp_path / "out.mp4"
    refused("edit", motion_file, "-o", out, folder=tmp_path, saying="must end in .npz")
    refused("edit", clip[0], "-o", out, "--renderer", "diffusion", folder=tmp_path, saying="repair or geometry")
    refused("edit", motion_file, "-o", tmp_path / "o.npz", "--face-index", 0, folder=tmp_path, saying="edit of a video")
    refused("edit", audio, "-o", out, folder=tmp_path, saying="no video")
    refused("edit", clip[0], "-o", out, "--face-index", 1, folder=tmp_path, saying="more than 1 face")
    refused("edit", clip[0], "-o", out, "--audio", audio, folder=tmp_path, saying="must not be shorter")
    turned = [np.rot90(frame, 2) for frame in read_video(clip[0])]
    upside = write_video(tmp_path / "turned.mp4", turned, audio=clicks("video", 1.2))
    refused("edit", upside, "-o", out, folder=tmp_path, saying="upside down")
