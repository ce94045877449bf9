"""`fd2talk faces` lists the faces with the numbers that `--face-index` takes."""

import numpy as np
from material import portrait
from PIL import Image

from fd2talk.commands.inputs import fit_photo
from fd2talk.options import FaceChoice
from shared.face_model import load_bundled


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


def test_a_picture_without_faces_is_refused(refused, tmp_path):
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "p.png")
    refused("faces", tmp_path / "p.png", folder=tmp_path, saying="no face found")
