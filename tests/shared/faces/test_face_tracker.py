"""One interface to the face tracker, whichever mediapipe is installed."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from shared import published_files
from shared.errors import Fd2TalkError, InputError
from shared.face_model import load_bundled
from shared.faces import face_tracker
from shared.faces.face_tracker import LANDMARKER, face_detectors, has_solutions, mesh_edges, open_face_tracker
from shared.faces.face_tracker import person_probability as person
from shared.media import read_image

PORTRAIT = Path(__file__).parents[3] / "assets" / "demo" / "portrait_woman.jpg"


@pytest.fixture(scope="module")
def portrait():
    if not has_solutions() and not published_files.is_there(LANDMARKER):
        pytest.skip(f"{LANDMARKER.file} is not in FD2TALK_MODELS")
    return read_image(PORTRAIT)[::2, ::2]


def test_the_form_that_is_installed_is_used():
    assert has_solutions() == (version("mediapipe") == "0.10.21")


def test_edges_are_those_of_the_bundled_face_model():
    faces = {
        tuple(sorted(edge))
        for face in load_bundled().triangles[:852].tolist()
        for edge in zip(face, face[1:] + face[:1])
    }
    edges = mesh_edges()
    assert faces <= edges and all(a < b for a, b in edges)


def test_a_face_is_found_forgotten_and_followed(portrait):
    tracker, empty = open_face_tracker(), np.zeros_like(portrait)
    try:
        assert tracker.track(empty) is None
        first = tracker.track(portrait)
        assert first.shape == (478, 3) and first.dtype == np.float32
        height, width = portrait.shape[:2]
        assert (first[:, :2] > 0).all() and (first[:, 0] < width).all() and (first[:, 1] < height).all()
        assert first[1, 2] < first[[234, 454], 2].min()  # the nose is nearer than the ears
        # A moved picture moves the mesh at once: nothing smooths it over time.
        for _ in range(4):
            tracker.track(portrait)
        before = tracker.track(portrait)
        moved = tracker.track(np.roll(portrait, 12, axis=1))
        assert (moved - before)[:, 0].mean() == pytest.approx(12, abs=1.5)
        assert tracker.track(empty) is None
    finally:
        tracker.close()


def test_detectors_find_the_face(portrait):
    with face_detectors() as detectors:
        found = [box for detector in detectors for box in detector.detect(portrait)]
        assert all(detector.detect(np.zeros_like(portrait)) == [] for detector in detectors)
    height, width = portrait.shape[:2]
    assert len(found) == len(detectors)
    for left, top, right, bottom, score in found:
        assert 0 < left < width / 2 < right < width and 0 < top < bottom < height and 0.4 <= score <= 1


def test_persons(portrait):
    found = person(portrait)
    assert found.shape == portrait.shape[:2] and found.dtype == np.float32
    height, width = found.shape
    assert found[height // 2, width // 2] > 0.9 and found[2:20, 2:20].mean() < 0.1
    assert person(np.ascontiguousarray(portrait[:, : width // 2])).shape == (height, width // 2)


def test_the_bundled_network_of_persons_is_mediapipe_s():
    file = Path(__file__).parents[3] / "assets" / "person_mask" / "selfie_segmentation.tflite"
    digest = "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


@pytest.fixture
def newer(monkeypatch, tmp_path):
    """As where mediapipe has no models of its own, with the file at an address on this computer."""
    monkeypatch.setattr(face_tracker, "has_solutions", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FD2TALK_MODELS", raising=False)
    content, path = b"models" * 1000, tmp_path / LANDMARKER.file
    path.write_bytes(content)

    def serve(address=None, digest=None):
        address, digest = address or path.as_uri(), digest or hashlib.sha256(content).hexdigest()
        file = published_files.PublishedFile(LANDMARKER.file, address, digest, LANDMARKER.used_by, LANDMARKER.terms)
        monkeypatch.setattr(face_tracker, "LANDMARKER", file)

    return serve


@pytest.mark.situation(
    "Surroundings",
    "Python 3.13 and later (mediapipe 1.2, which has no models)",
    "its file of 3.7 MB is downloaded once, said in a note and checked",
)
def test_the_models_are_downloaded_once_with_a_note(newer, recwarn, tmp_path):
    newer()
    path = face_tracker._landmarker()
    assert path == tmp_path / "cache" / "fd2talk" / "models" / LANDMARKER.file
    assert [str(w.message).split(" from ")[0] for w in recwarn] == ["downloading face_landmarker.task (3.7 MB, once)"]
    newer("http://127.0.0.1:9/never-asked")
    assert face_tracker._landmarker() == path and len(recwarn) == 1


@pytest.mark.situation(
    "Surroundings",
    "Python 3.13 and later without a network",
    "the file is found in --models FOLDER or FD2TALK_MODELS; otherwise one line that names both",
)
def test_models_in_a_named_folder_need_no_network(newer, monkeypatch, recwarn, tmp_path):
    newer("http://127.0.0.1:9/never-asked")
    monkeypatch.setenv("FD2TALK_MODELS", os.pathsep.join([str(tmp_path / "nothing"), str(tmp_path)]))
    assert face_tracker._landmarker() == tmp_path / LANDMARKER.file and not len(recwarn)
    (tmp_path / LANDMARKER.file).write_bytes(b"other")
    with pytest.raises(InputError, match="not the published face_landmarker.task"):
        face_tracker._landmarker()


@pytest.mark.filterwarnings("ignore:downloading")
def test_without_network_or_with_other_bytes_it_is_one_line_and_no_file(newer, tmp_path):
    newer("http://127.0.0.1:9/face_landmarker.task")
    with pytest.raises(Fd2TalkError, match="cannot download .*; without a network, put it into .* --models FOLDER"):
        open_face_tracker()
    newer(digest="0" * 64)
    with pytest.raises(Fd2TalkError, match="is not the published"):
        open_face_tracker()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
