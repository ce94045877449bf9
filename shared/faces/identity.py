"""Preservation of identity: cosine similarity of face embeddings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shared.errors import InputError
from shared.face_model.mediapipe_mesh import LEFT_IRIS, RIGHT_IRIS

# The five points of the usual 112 x 112 alignment: eyes, nose tip, corners of the mouth (image left first).
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
_POINTS = (RIGHT_IRIS[0], LEFT_IRIS[0], 1, 61, 291)


class IdentityEmbedder:
    """A face-recognition network as ONNX (input [1, 3, 112, 112], RGB, (x - 127.5) / 127.5), such as MobileFaceNet.

    Needs onnxruntime (the extra `metrics`).

    Raises:
        InputError: the file is not an ONNX network, or onnxruntime is not installed.
    """

    def __init__(self, path: str | Path):
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except ImportError:
            raise InputError("measuring identity needs onnxruntime: pip install 'fd2talk[metrics]'") from None
        except Exception as error:  # onnxruntime raises classes of its own for other files
            raise InputError(f"{path}: not an ONNX network ({error})") from None

    def __call__(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Embed a face as a unit vector [E].

        Args:
            image: uint8 [H, W, 3].
            landmarks: [478, 3] in pixels of the image.
        """
        face = _aligned(image, landmarks[list(_POINTS), :2].astype(np.float32))
        batch = ((face.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        vector = self._session.run(None, {self._session.get_inputs()[0].name: batch})[0][0]
        return vector / np.linalg.norm(vector)


def _aligned(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face in the alignment of the network's training, uint8 [112, 112, 3]; points float32 [5, 2]."""
    matrix, _ = cv2.estimateAffinePartial2D(points, _TEMPLATE)
    scale = float(np.hypot(*matrix[:, 0]))
    if scale < 1:
        # Averaged first: `warpAffine` interpolates between four pixels, however many lie between its samples.
        height, width = image.shape[:2]
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        points = (points + 0.5) * np.divide(size, (width, height), dtype=np.float32) - 0.5
        matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), _TEMPLATE)
    return cv2.warpAffine(image, matrix, (112, 112), flags=cv2.INTER_LINEAR)
