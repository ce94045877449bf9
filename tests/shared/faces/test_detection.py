"""Faces of every size and in any place are found, and numbered in reading order."""

import numpy as np
import pytest
from material import portrait
from PIL import Image

from shared.faces.detection import FaceBox, detect_faces, in_reading_order, largest_face

# Height of the tracked face over the side of the portrait.
HEIGHTS = {"portrait_woman": 0.573, "portrait_man": 0.61, "portrait_woman_2": 0.573, "portrait_man_2": 0.572}


def group(width, height, faces, rows=2, columns=3):
    """Portraits in rows on a plain ground, with faces of these heights in pixels, and the places of their middles."""
    canvas, places = Image.new("RGB", (width, height), (92, 111, 92)), []
    for number in range(rows * columns):
        name = list(HEIGHTS)[number % 4]
        side = round(faces[number % len(faces)] / HEIGHTS[name])
        x, y = (number % columns + 0.5) * width / columns, (number // columns + 0.5) * height / rows
        canvas.paste(portrait(side, name), (round(x - side / 2), round(y - side / 2)))
        places.append((x, y))
    return np.asarray(canvas), np.array(places)


@pytest.mark.situation("Faces", "small faces in a large group photo", "all of 56 pixels and more, in reading order")
@pytest.mark.parametrize("size, faces", [((4000, 3000), [56]), ((6000, 3000), [70]), ((1500, 1000), [60, 200])])
def test_all_faces_of_a_large_picture_are_found_in_reading_order(size, faces):
    image, places = group(*size, faces)
    boxes = detect_faces(image)
    assert len(boxes) == len(places)
    for number, (box, place) in enumerate(zip(boxes, places)):
        expected = faces[number % len(faces)]
        assert np.linalg.norm(np.array(box.middle) - place) < 0.35 * expected
        assert 0.6 * expected < box.side < 1.4 * expected


def test_faces_of_a_group_that_is_upside_down():
    image, places = group(2000, 1500, [60, 60, 60, 60, 80, 60])
    upright = detect_faces(image)
    assert detect_faces(image, upside_down=True) == upright
    turned = np.ascontiguousarray(image[::-1, ::-1])
    boxes = detect_faces(turned, upside_down=True)
    assert len(boxes) == len(places)
    largest = largest_face(turned, upside_down=True)
    assert np.linalg.norm(np.array(largest.middle) - ([2000, 1500] - places[4])) < 40


def test_the_largest_face_is_found_beside_small_ones():
    image, places = group(3000, 2000, [60, 60, 60, 60, 80, 60])
    box = largest_face(image)
    assert np.linalg.norm(np.array(box.middle) - places[4]) < 40
    assert largest_face(np.full((900, 1200, 3), 128, np.uint8)) is None


def test_rows_are_read_from_the_top_and_from_the_left():
    def box(x, y, side=40):
        return FaceBox(x - side / 2, y - side / 2, x + side / 2, y + side / 2)

    ordered = [box(10, 110), box(60, 90), box(120, 105), box(5, 170), box(100, 160)]
    assert in_reading_order([ordered[i] for i in (3, 1, 4, 2, 0)]) == ordered
