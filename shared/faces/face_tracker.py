"""The face tracker: mediapipe's networks behind one interface, whichever release of mediapipe is installed.

Release 0.10.21, the last one that carries its models inside the package, exists for Python 3.10 to 3.12. Releases from
1.0 on, for any Python, have another interface (Tasks) and no models: the mesh and detection networks are in a published
file, that of persons is bundled with us, a copy of the one in 0.10.21.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared.errors import Fd2TalkError
from shared.faces.mediapipe_guard import mediapipe_guard
from shared.published_files import PublishedFile, find_published, is_there
from shared.weights import bundled

LANDMARKER = PublishedFile(
    "face_landmarker.task",
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    ("the face tracker",),
    "Apache-2.0",
)
"""The networks of the face tracker for mediapipe 1.0 and later."""

# Least scores of a detection and of a mesh that is found and followed.
_DETECTED, _FOUND, _FOLLOWED = 0.4, 0.3, 0.4
# Time in ms that passes on the tracker's clock between two pictures. It smooths the points of a video over time, which
# would round off lips and blinks; the more time passes, the less.
_CLOCK_STEP = 10**9


class FaceTracker(Protocol):
    """Finds the mesh of one face in the pictures of a sequence, each near the previous result."""

    def track(self, image: np.ndarray) -> np.ndarray | None:
        """Return the mesh float32 [478, 3] in pixels of an image uint8 [H, W, 3] RGB, or None without a face."""
        ...

    def close(self) -> None:
        """Release the networks."""
        ...


class FaceDetector(Protocol):
    """Finds the boxes of faces in a picture."""

    def detect(self, image: np.ndarray) -> list[tuple[float, float, float, float, float]]:
        """Return left, top, right, bottom in pixels and the score of each face of an image uint8 [H, W, 3] RGB."""
        ...

    def close(self) -> None:
        """Release the network."""
        ...


def open_face_tracker() -> FaceTracker:
    """Return a new tracker.

    Raises:
        Fd2TalkError: mediapipe does not work, or its models are missing and cannot be downloaded.
    """
    models = _landmarker()
    with mediapipe_guard():
        tracker: FaceTracker = _Solutions() if models is None else _Tasks(models)
        tracker.track(np.zeros((64, 64, 3), np.uint8))  # starts the graph, which writes notices
    return tracker


@contextmanager
def face_detectors() -> Iterator[list[FaceDetector]]:
    """The detectors: of large faces and, in mediapipe 0.10.21, also of small ones.

    Raises:
        Fd2TalkError: as `open_face_tracker`.
    """
    models = _landmarker()
    with mediapipe_guard():
        detectors: list[FaceDetector] = (
            [_SolutionsDetector(0), _SolutionsDetector(1)] if models is None else [_TasksDetector(models)]
        )
        try:
            yield detectors
        finally:
            for detector in detectors:
                detector.close()


def person_probability(image: np.ndarray) -> np.ndarray:
    """Return how likely each pixel of an image uint8 [H, W, 3] RGB shows a person, float32 [H, W] in 0..1."""
    image = np.ascontiguousarray(image)
    with mediapipe_guard():
        if has_solutions():
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

            with SelfieSegmentation(model_selection=0) as model:
                return np.array(model.process(image).segmentation_mask)
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        base = BaseOptions(model_asset_path=str(bundled("person_mask") / "selfie_segmentation.tflite"))
        with vision.ImageSegmenter.create_from_options(vision.ImageSegmenterOptions(base_options=base)) as segmenter:
            masks = segmenter.segment(mp.Image(mp.ImageFormat.SRGB, image)).confidence_masks
            return np.array(masks[-1].numpy_view()).reshape(image.shape[:2])


def mesh_edges() -> set[tuple[int, int]]:
    """Return the edges of the tracker's mesh, the smaller vertex first."""
    with mediapipe_guard():
        if has_solutions():
            from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

            pairs = list(FACEMESH_TESSELATION)
        else:
            from mediapipe.tasks.python.vision import FaceLandmarksConnections

            pairs = [(edge.start, edge.end) for edge in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    return {(min(pair), max(pair)) for pair in pairs}


def has_solutions() -> bool:
    """Whether mediapipe 0.10.21 is installed, or one like it."""
    spec = find_spec("mediapipe")
    return spec is None or any((Path(place) / "python").is_dir() for place in spec.submodule_search_locations or ())


def _landmarker() -> Path | None:
    """The file of the models, downloaded at its first use; None where mediapipe has its own."""
    if has_solutions():
        return None
    if is_there(LANDMARKER):
        return find_published(LANDMARKER)
    warnings.warn(f"downloading {LANDMARKER.file} (3.7 MB, once) from {LANDMARKER.url}", stacklevel=2)
    try:
        return find_published(LANDMARKER, download=True)
    except Fd2TalkError as error:
        remedy = "put it into a folder named with --models FOLDER or FD2TALK_MODELS"
        raise Fd2TalkError(f"{error}; without a network, {remedy}") from error


class _Solutions:
    """mediapipe 0.10.21."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self._mesh = FaceMesh(
            static_image_mode=False,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=_FOUND,
            min_tracking_confidence=_FOLLOWED,
        )

    def track(self, image: np.ndarray) -> np.ndarray | None:
        result = self._mesh.process(np.ascontiguousarray(image))
        return _in_pixels(result.multi_face_landmarks[0].landmark if result.multi_face_landmarks else (), image)

    def close(self) -> None:
        self._mesh.close()


class _SolutionsDetector:
    """mediapipe 0.10.21; 0 is the detector of large faces, 1 that of small ones."""

    def __init__(self, selection: int) -> None:
        from mediapipe.python.solutions.face_detection import FaceDetection

        self._detector = FaceDetection(min_detection_confidence=_DETECTED, model_selection=selection)

    def detect(self, image: np.ndarray) -> list[tuple[float, float, float, float, float]]:
        height, width = image.shape[:2]
        found = []
        for detection in self._detector.process(np.ascontiguousarray(image)).detections or []:
            box = detection.location_data.relative_bounding_box
            right, bottom = box.xmin + box.width, box.ymin + box.height
            found.append((box.xmin * width, box.ymin * height, right * width, bottom * height, detection.score[0]))
        return found

    def close(self) -> None:
        self._detector.close()


class _Tasks:
    """mediapipe 1.0 and later."""

    def __init__(self, models: Path) -> None:
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(models)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
            min_face_detection_confidence=_FOUND,
            min_face_presence_confidence=_FOLLOWED,
            min_tracking_confidence=_FOLLOWED,
        )
        self._mp, self._clock = mp, 0
        self._mesh = vision.FaceLandmarker.create_from_options(options)

    def track(self, image: np.ndarray) -> np.ndarray | None:
        self._clock += _CLOCK_STEP
        picture = self._mp.Image(self._mp.ImageFormat.SRGB, np.ascontiguousarray(image))
        faces = self._mesh.detect_for_video(picture, self._clock).face_landmarks
        return _in_pixels(faces[0] if faces else (), image)

    def close(self) -> None:
        self._mesh.close()


class _TasksDetector:
    """mediapipe 1.0 and later."""

    def __init__(self, models: Path) -> None:
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        with zipfile.ZipFile(models) as file:
            base = BaseOptions(model_asset_buffer=file.read("face_detector.tflite"))
        options = vision.FaceDetectorOptions(base_options=base, min_detection_confidence=_DETECTED)
        self._mp, self._detector = mp, vision.FaceDetector.create_from_options(options)

    def detect(self, image: np.ndarray) -> list[tuple[float, float, float, float, float]]:
        found = []
        picture = self._mp.Image(self._mp.ImageFormat.SRGB, np.ascontiguousarray(image))
        for detection in self._detector.detect(picture).detections:
            box = detection.bounding_box
            right, bottom = box.origin_x + box.width, box.origin_y + box.height
            found.append((box.origin_x, box.origin_y, right, bottom, detection.categories[0].score))
        return found

    def close(self) -> None:
        self._detector.close()


def _in_pixels(landmarks: Any, image: np.ndarray) -> np.ndarray | None:
    height, width = image.shape[:2]
    points = [(p.x * width, p.y * height, p.z * width) for p in landmarks]
    return np.array(points, np.float32) if points else None
