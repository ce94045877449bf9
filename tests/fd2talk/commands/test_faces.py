"""`fd2talk faces` lists the faces with the numbers that `--face-index` takes."""

import threading

import numpy as np
import pytest
from material import portrait
from media_files import write_video
from PIL import Image

from fd2talk import terminal
from fd2talk.commands.inputs import fit_photo
from fd2talk.options import FaceChoice
from shared.errors import FaceNotFoundError, InputError
from shared.face_model import load_bundled
from shared.faces.detection import FaceBox
from shared.photo_fit import PhotoFit


@pytest.mark.situation(
    "Faces",
    "several people in a photo: which number names whom",
    "`fd2talk faces PHOTO --sheet FACES.png` lists and draws them with their --face-index",
)
def test_faces_are_listed_and_drawn_with_the_numbers_of_face_index(run, refused, tmp_path):
    canvas = Image.new("RGB", (620, 300), "grey")
    places = {0: (10, 20, 180), 1: (210, 10, 180), 2: (380, 40, 240)}
    for left, top, side in places.values():
        canvas.paste(portrait(side), (left, top))
    canvas.save(tmp_path / "p.png")
    code, out, err = run("faces", tmp_path / "p.png", "--sheet", tmp_path / "new" / "sheet.png")
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert len(lines) == 3 and "without --face-index" in lines[2]
    for number, (left, top, side) in places.items():
        start, _, edges = lines[number].partition(" at ")
        assert start.startswith(f"--face-index {number}: ")
        box = [int(edge) for edge in edges.split(", ")[0].split(",")]
        assert left < box[0] < box[2] < left + side and top < box[1] < box[3] < top + side
        fitted = fit_photo(load_bundled(), tmp_path / "p.png", np.asarray(canvas), FaceChoice(number))
        assert left < fitted.crop.center_x < left + side
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    drawn = np.abs(sheet.astype(int) - np.asarray(canvas)).max(2) > 40
    assert sheet.shape == (300, 620, 3) and drawn[:, 10:190].any() and drawn[:, 390:].any() and drawn.mean() < 0.2
    refused("faces", tmp_path / "p.png", "--sheet", tmp_path / "p.png", "--overwrite", folder=tmp_path, saying="input")
    refused("faces", tmp_path / "p.png", "--sheet", tmp_path / "s.jpg", folder=tmp_path, saying=".png")


@pytest.mark.situation(
    "Faces",
    "a drawing in which mediapipe finds no face, with the extra `[faces]`",
    "the package face-alignment finds it (--face-tracker), numbered by its own boxes",
)
def test_a_drawing_s_faces_have_the_second_tracker_s_numbers(run, refused, tmp_path, monkeypatch):
    """Where mediapipe finds nothing; with its boxes but no mesh, the numbers are those of its boxes."""
    image, meshed = np.full((200, 300, 3), 128, np.uint8), []
    Image.fromarray(image).save(tmp_path / "p.png")
    boxes = [FaceBox(10, 10, 90, 100, 0.9), FaceBox(150, 20, 250, 120, 0.8)]

    def mesh(image, box, model):
        meshed.append(box)
        raise FaceNotFoundError

    monkeypatch.setattr("shared.photo_fit.s3fd_faces", lambda image: boxes)
    monkeypatch.setattr("shared.photo_fit.is_installed", lambda: True)
    monkeypatch.setattr("shared.photo_fit.face_alignment_mesh", mesh)
    monkeypatch.setattr("shared.faces.tracker.largest_face", lambda image, **_: None)
    for tracker in ("auto", "face-alignment"):
        code, out, _ = run("faces", tmp_path / "p.png", "--face-tracker", tracker)
        assert code == 0 and [line.split(" at ")[1].split(", the")[0] for line in out.splitlines()] == [
            "10,10,90,100", "150,20,250,120",
        ]  # fmt: skip
        for choice in ({"face_index": 1}, {"face_index": 0}, {}):
            with pytest.raises(FaceNotFoundError):
                PhotoFit.fit(image, tracker=tracker, **choice)
    assert meshed == [boxes[1], boxes[0], boxes[0] if boxes[0].side > boxes[1].side else boxes[1]] * 2
    refused("faces", tmp_path / "p.png", "--face-tracker", "mediapipe", folder=tmp_path, saying="no face found")
    own = [FaceBox(150, 20, 250, 120, 0.5), FaceBox(10, 10, 90, 100, 0.5)]
    monkeypatch.setattr("shared.faces.tracker.detect_faces", lambda image, **_: own)
    with pytest.raises(FaceNotFoundError):
        PhotoFit.fit(image, face_index=1)
    assert meshed[-1] == own[1]


@pytest.mark.situation(
    "Faces",
    "a drawing in which mediapipe finds no face, without that extra",
    "one line that names it",
)
def test_a_picture_without_faces_is_refused(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("shared.photo_fit.is_installed", lambda: False)
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "p.png")
    line = refused("faces", tmp_path / "p.png", folder=tmp_path, saying="no face found")
    assert "fd2talk[faces]" in line


def test_faces_that_are_too_small_are_marked_as_other_commands_refuse_them(run, tmp_path):
    """By the height of the mesh, also where the detected box is higher or lower."""
    canvas = Image.new("RGB", (640, 240), "grey")
    for k, side in enumerate((80, 120, 200)):
        canvas.paste(portrait(side), (20 + 170 * k, 20))
    for width in (640, 340):  # the second without the one that is large enough beyond doubt
        shown = canvas.crop((0, 0, width - 10, 240))
        shown.save(tmp_path / "p.png")
        code, out, _ = run("faces", tmp_path / "p.png")
        assert code == 0
        for number, line in enumerate(out.splitlines()):
            try:
                fit_photo(load_bundled(), tmp_path / "p.png", np.asarray(shown), FaceChoice(number))
                refusal = None
            except InputError as error:
                refusal = str(error)
            assert ("too small: at least 56 pixels are needed" in line) == (refusal is not None)
            if refusal:
                assert f"only {line.split(': ')[1].split()[0]} pixels high" in refusal and "without" not in line
        assert out.count("too small") == 1 and out.splitlines()[0].count("too small") == 1
    canvas.crop((0, 0, 140, 240)).save(tmp_path / "p.png")
    code, out, _ = run("faces", tmp_path / "p.png")
    assert code == 0 and "too small" in out and "without --face-index" not in out


def test_faces_of_a_video_are_those_of_its_first_frame_with_faces(run, refused, tmp_path):
    shown = np.full((240, 480, 3), 128, np.uint8)
    shown[:, :240], shown[10:230, 250:470] = portrait(240), portrait(220)
    blank = np.full_like(shown, 128)
    clip = write_video(tmp_path / "clip.mp4", [blank, blank, shown, blank])
    code, out, err = run("faces", clip, "--sheet", tmp_path / "sheet.png")
    assert code == 0 and "clip.mp4 is a video" in err and "at 0.08 s" in err and len(out.splitlines()) == 2
    edges = [int(line.split(" at ")[1].split(",")[0]) for line in out.splitlines()]
    assert edges[0] < 240 < edges[1] and "without --face-index" in out.splitlines()[0]
    assert np.abs(np.asarray(Image.open(tmp_path / "sheet.png")).astype(int) - shown)[20:120, 60:180].mean() < 40
    none = write_video(tmp_path / "none.mp4", [blank] * 3)
    refused("faces", none, folder=tmp_path, saying="no face found in the video")
    refused("faces", clip, "--face-tracker", "face-alignment", folder=tmp_path, saying="is for photos")


def test_a_long_search_for_faces_is_said(run, tmp_path, monkeypatch):
    """Without a terminal, of a huge picture."""

    said = threading.Event()

    def slow(image, tracker):
        said.wait(60 if image.shape[1] > 4000 else 0.2)
        return [FaceBox(0, 0, 100, 100)]

    def say(line, code):
        said.set()
        return terminal.say(line, code)

    monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 0.05)
    monkeypatch.setattr("fd2talk.progress.say", say)
    monkeypatch.setattr("fd2talk.commands.faces.faces_of", slow)
    for size in ((4200, 120), (120, 120)):
        said.clear()
        Image.new("RGB", size).save(tmp_path / "p.png")
        lines = run("faces", tmp_path / "p.png")[2].splitlines()
        assert ("fd2talk: looking for faces ..." in lines) == (size[0] > 4000) == said.is_set()
