"""Face embeddings with a stand-in for the network: its input and the result."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from shared.errors import InputError
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.media import read_image
from shared.weights import bundled


class Thumbnail:
    """A network whose embedding is the picture, 8 x 8."""

    def __init__(self, path, options, providers):
        if not path.endswith(".onnx"):
            raise RuntimeError("no protobuf")

    def get_inputs(self):
        return [SimpleNamespace(name="input")]

    def run(self, outputs, feed):
        (batch,) = feed.values()
        assert batch.shape == (1, 3, 112, 112) and np.abs(batch).max() <= 1
        return [cv2.resize(batch[0].transpose(1, 2, 0), (8, 8), interpolation=cv2.INTER_AREA).reshape(1, -1)]


@pytest.fixture
def embed(monkeypatch):
    stand_in = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Thumbnail)
    monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
    return IdentityEmbedder("network.onnx")


def test_a_face_is_the_same_however_it_lies_in_the_picture(embed):
    picture = read_image(bundled("demo/portrait_woman.jpg"))
    points = track_photo(picture)
    own = embed(picture, points)
    assert np.linalg.norm(own) == pytest.approx(1) and own @ own == pytest.approx(1)
    matrix = cv2.getRotationMatrix2D((300, 300), 12, 0.7)
    turned = cv2.warpAffine(picture, matrix, picture.shape[1::-1])
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert own @ embed(turned, moved) > 0.99
    other = read_image(bundled("demo/portrait_man.jpg"))
    assert own @ embed(other, track_photo(other)) < 0.9


def test_a_large_face_is_averaged_not_sampled(embed):
    picture = read_image(bundled("demo/portrait_woman.jpg")).clip(90, 165)
    points = track_photo(picture)
    stripes = np.where(np.arange(picture.shape[0]) % 3 == 0, 90, -45)[:, None, None]
    striped = (picture.astype(int) + stripes).astype(np.uint8)
    assert embed(picture, points) @ embed(striped, points) > 0.999


def test_what_is_no_network_is_refused(embed):
    with pytest.raises(InputError, match="not an ONNX network"):
        IdentityEmbedder("weights.pth")
