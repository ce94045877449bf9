import numpy as np
import pytest
from data_set_trees import touch
from PIL import Image

from fd2talk.datasets.layouts import assign_splits, read_layout
from shared.errors import InputError
from shared.media import read_video, video_info

ONE, TWO = "Clip+_5rNOD1nsDg+P0+C0+F575-769", "Clip+XCHmk9jOypY+P1+C2+F10-12"
PICTURES = f"VFHQ-Train/extracted_cropped_face_results/_5rNOD1nsDg/{ONE}"


@pytest.fixture
def tree(tmp_path):
    """A clip of three pictures of 49 x 32 pixels, and one as a video."""
    (tmp_path / PICTURES).mkdir(parents=True)
    for number, level in ((1, 40), (2, 120), (10, 200)):
        picture = np.full((32, 49, 3), level, np.uint8)
        picture[:, :24] = [level, 0, 0]
        Image.fromarray(picture).save(tmp_path / PICTURES / f"{number:08d}.png")
    touch(tmp_path, f"VFHQ-Test/{TWO}.mp4", "meta_info/readme.txt")
    text = "H 1080\nW 1920\nFPS 12.5\n\nCROP 700 180 1300 780\nLANDMARKS 1 2\n"
    (tmp_path / f"meta_info/{ONE}.txt").write_text(text)
    return tmp_path


def test_pictures_become_a_video_at_their_rate(tree, tmp_path_factory):
    reading = read_layout("vfhq", tree)
    made, video = sorted(reading.clips, key=lambda clip: clip.make is None)
    assert (made.person, made.file.as_posix()) == ("_5rNOD1nsDg+P0", f"_5rNOD1nsDg+P0/{ONE}.mp4")
    assert (video.person, video.file) == ("XCHmk9jOypY+P1", tree / f"VFHQ-Test/{TWO}.mp4")
    assert made.facts == {"audio": "none"} and video.facts == {} and not reading.notes
    assert assign_splits([made, video], "published", 0)[0] == ["train", "test"]
    path = tmp_path_factory.mktemp("made") / "clip.mp4"
    made.make(path)
    info = video_info(path)
    assert (info.width, info.height, info.frames, info.fps, info.has_audio) == (48, 32, 3, 12.5, False)
    frames = list(read_video(path))  # at 25 frames a second: each twice
    levels = [float(frame[8:24, 32:44].mean()) for frame in frames]
    assert len(frames) == 6 and levels == pytest.approx([40, 40, 120, 120, 200, 200], abs=3)
    assert frames[4][8:24, 4:16].mean((0, 1)) == pytest.approx([200, 0, 0], abs=8)  # colours are not exchanged
    assert b"synthetic" not in path.read_bytes()


def test_a_clip_without_facts_and_one_that_is_there_as_a_video(tree):
    (tree / f"meta_info/{ONE}.txt").unlink()
    assert read_layout("vfhq", tree).notes == [
        f"1 clip has no file of facts; 25 frames a second are assumed (such as {ONE})"
    ]
    touch(tree, f"VFHQ-Train/{ONE}.mp4")
    assert all(clip.make is None for clip in read_layout("vfhq", tree).clips)


@pytest.mark.parametrize("text", ["H 1080\n", "FPS\n", "FPS many\n", "FPS 0\n"])
def test_facts_without_a_frame_rate(tree, text):
    (tree / f"meta_info/{ONE}.txt").write_text(text)
    with pytest.raises(InputError, match="FPS|is not a frame rate"):
        read_layout("vfhq", tree)


def test_pictures_that_differ_in_size_leave_no_video(tree, tmp_path_factory):
    Image.new("RGB", (64, 64)).save(tree / PICTURES / "00000011.png")
    made = next(clip for clip in read_layout("vfhq", tree).clips if clip.make)
    folder = tmp_path_factory.mktemp("made")
    with pytest.raises(InputError, match="00000011.png: its size is not that of 00000001.png"):
        made.make(folder / "clip.mp4")
    assert not list(folder.iterdir())


def test_hidden_files_and_what_macos_adds(tree, tmp_path_factory):
    touch(tree, f"__MACOSX/{PICTURES}/00000001.png", f".cache/{ONE}/00000001.png", f"VFHQ-Train/{TWO}x/._1.png")
    (tree / PICTURES / "._00000001.png").write_bytes(b"no picture")
    reading = read_layout("vfhq", tree)
    assert len(reading.clips) == 2 and not reading.notes
    path = tmp_path_factory.mktemp("made") / "clip.mp4"
    next(clip for clip in reading.clips if clip.make).make(path)
    assert video_info(path).frames == 3


def test_pictures_too_small_for_a_video(tree, tmp_path_factory):
    for file in (tree / PICTURES).iterdir():
        Image.new("RGB", (1, 1)).save(file)
    made = next(clip for clip in read_layout("vfhq", tree).clips if clip.make)
    with pytest.raises(InputError, match="1 x 1 pixels are too few for a video"):
        made.make(tmp_path_factory.mktemp("made") / "clip.mp4")
