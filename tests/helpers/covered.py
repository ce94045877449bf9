"""Things drawn on a face: a mask, a microphone, fingers, dark glasses, eye make-up.

Each takes a photo uint8 [H, W, 3] and its mesh [478, 3] in pixels, and returns the photo with it.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from shared.face_model.mediapipe_mesh import LEFT_EYE, RIGHT_EYE


def mask(photo, points, colour=(170, 205, 225)):
    corners = [points[i, :2] for i in (116, 195, 345, 401, 152, 177)]
    return _drawn(photo, lambda draw: draw.polygon([tuple(map(float, c)) for c in corners], fill=255), colour)


def microphone(photo, points, colour=(45, 45, 48)):
    (x, y), radius = points[[13, 14], :2].mean(0), 0.17 * np.ptp(points[:468, 1])

    def draw(drawing):
        drawing.polygon([(x - 0.5 * radius, y), (x + 0.5 * radius, y), (x + 10, 2 * y), (x - 10, 2 * y)], fill=255)
        drawing.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)

    return _drawn(photo, draw, colour)


def fingers(photo, points):
    """Three fingers across the mouth, in the colour of the cheeks."""
    face = np.ptp(points[:468, 1])
    (x, y), radius = points[[13, 14], :2].mean(0), 0.08 * face
    cheeks = points[[50, 280, 205, 425], :2].astype(int)
    skin = np.median(photo[cheeks[:, 1], cheeks[:, 0]], axis=0)
    for row in (-1, 0, 1):
        middle = y + 1.9 * radius * row
        shade = 1.05 - 0.35 * np.clip((np.arange(len(photo)) - middle) / radius, -1, 1) ** 2
        layer = shade[:, None, None] * skin * np.ones_like(photo)

        def draw(drawing, middle=middle):
            drawing.rounded_rectangle([x - 0.25 * face, middle - radius, 9999, middle + radius], radius, fill=255)

        photo = _drawn(photo, draw, layer)
    return photo


def dark_glasses(photo, points, colour=(20, 20, 24)):
    width, centres = np.ptp(points[:468, 0]), [points[list(pair), :2].mean(0) for pair in ((33, 133), (362, 263))]

    def draw(drawing):
        for x, y in centres:
            drawing.ellipse([x - 0.2 * width, y - 0.13 * width, x + 0.2 * width, y + 0.17 * width], fill=255)
        drawing.line([*map(tuple, centres)], fill=255, width=int(0.03 * width))

    return _drawn(photo, draw, colour)


def eye_make_up(photo, points, colour=(8, 6, 8)):
    """A broad black line on the upper lids, with lashes."""
    eye = np.linalg.norm(points[33, :2] - points[133, :2])

    def draw(drawing):
        for ring in (RIGHT_EYE[:9], LEFT_EYE[:9]):
            rim = [tuple(map(float, points[i, :2])) for i in ring]
            drawing.line(rim, fill=255, width=int(0.1 * eye), joint="curve")
            for x, y in rim[1:-1]:
                drawing.line([(x, y), (x + 0.02 * eye, y - 0.14 * eye)], fill=255, width=max(1, int(0.03 * eye)))

    return _drawn(photo, draw, colour)


def _drawn(photo, draw, colour):
    """What `draw` fills of a mask becomes `colour`, with soft edges."""
    shape = Image.new("L", photo.shape[1::-1], 0)
    draw(ImageDraw.Draw(shape))
    alpha = np.asarray(shape.filter(ImageFilter.GaussianBlur(1)), np.float32)[..., None] / 255
    return np.rint(photo * (1 - alpha) + np.asarray(colour, np.float32) * alpha).clip(0, 255).astype(np.uint8)
