"""SyncNet, the metric network of lip sync in nearly every talking-head paper: network, crops, and LSE-C and LSE-D.

Chung & Zisserman, "Out of time: automated lip sync in the wild", ACCV-W 2016. The protocol is fixed by the code that
the authors and, for LSE-C and LSE-D, Prajwal et al. 2020 published (joonson/syncnet_python, Rudrabha/Wav2Lip), which is
more detailed than the papers. Each docstring here states its part of that code.

The same real footage scores differently from paper to paper (LRS2's test clips: LSE-C 6.84, LSE-D 7.19 in LipVoicer's
table 3, 8.25 and 6.26 for those who ran Wav2Lip's script), because the figures depend on the crop (SyncNet's own face
track, or the whole frame of an already cropped dataset resized to 224), on the detector's box, on the conversion of a
clip to 25 frames a second, on its length (see `sync_scores`) and on compression. A constant offset in a dataset has no
effect up to 15 frames, since the best of 31 shifts counts, and beyond that it lowers the score. Compare figures from
one protocol only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.signal import medfilt
from torch import nn

from shared.audio import FPS, SAMPLE_RATE
from shared.errors import InputError
from shared.faces.detection import FaceBox
from shared.faces.face_alignment_tracker import s3fd_boxes
from shared.metrics.checkpoints import load_into, read_tensors
from shared.metrics.mfcc import int16_range, mfcc
from shared.metrics.sync import MAX_SHIFT, SyncScores, check_audible, sync_scores

CROP_SIZE = 224
WINDOW = 5
"""Video frames in one window: 0.2 s."""
AUDIO_WINDOW, AUDIO_STEP = 20, 4
"""Frames of `mfcc` in one window, and from one window to the next."""

FOREHEAD = 0.14
"""Extent of an S3FD box above the tracked mesh, in heights of the mesh; below and beside it they agree.

Measured on the 109 faces of the group photographs that are published with a PyTorch S3FD's boxes drawn in
(yxlijun/S3FD.pytorch): top .14, bottom .00, width 1.01, centre .00 (medians, the frontal ones); the box's larger side
scatters by 4 %.
"""

_CROP_SCALE, _FILL, _MEDIAN = 0.40, 110, 13
_LEAST_FACE = 16  # pixels
_CHUNK = 16  # windows at once: about 200 MB


class SyncNet(nn.Module):
    """The published two-stream network: five frames of a face, and 0.2 s of sound, as 1024 numbers each.

    Tensors are named as in the published checkpoint `syncnet_v2.model`. Inputs are not normalised in any way: images
    BGR in 0..255, as OpenCV reads them, and cepstral coefficients unscaled (their order of magnitude is 10). Evaluation
    only. Outputs have no fixed length.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(  # [B, 1, 13, 20]
            *_layer(nn.Conv2d(1, 64, 3, padding=1)),
            nn.Identity(),  # a pooling of one position in the original, which has a number of its own
            *_layer(nn.Conv2d(64, 192, 3, padding=1)),
            nn.MaxPool2d(3, stride=(1, 2)),  # [B, 192, 11, 9]
            *_layer(nn.Conv2d(192, 384, 3, padding=1)),
            *_layer(nn.Conv2d(384, 256, 3, padding=1)),
            *_layer(nn.Conv2d(256, 256, 3, padding=1)),
            nn.MaxPool2d(3, stride=2),  # [B, 256, 5, 4]
            *_layer(nn.Conv2d(256, 512, (5, 4))),  # [B, 512, 1, 1]
        )
        self.netcnnlip = nn.Sequential(  # [B, 3, T, 224, 224]
            *_layer(nn.Conv3d(3, 96, (5, 7, 7), stride=(1, 2, 2))),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),  # [B, 96, T - 4, 54, 54]
            *_layer(nn.Conv3d(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),  # [B, 256, T - 4, 13, 13]
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),  # [B, 256, T - 4, 6, 6]
            *_layer(nn.Conv3d(256, 512, (1, 6, 6))),  # [B, 512, T - 4, 1, 1]
        )
        self.netfcaud, self.netfclip = (
            nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)) for _ in range(2)
        )
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, path: str | Path) -> SyncNet:
        """Load the weights of `syncnet_v2.model`, a torch state dict, unchanged.

        (The published loader leaves a tensor that the file lacks at its random initialisation; here that is an error.)

        Raises:
            InputError: no such file, or other weights.
        """
        network = cls()
        load_into(network, read_tensors(path), path, "the weights of SyncNet, syncnet_v2.model")
        return network

    @torch.no_grad()
    def embed_video(self, crops: np.ndarray) -> np.ndarray:
        """Embed windows of five crops.

        Args:
            crops: uint8 [T, 224, 224, 3] BGR, T >= 5.

        Returns:
            float32 [T - 4, 1024]; row i is the window of crops i .. i + 4.
        """
        images = torch.from_numpy(np.ascontiguousarray(crops)).permute(3, 0, 1, 2).float()  # [3, T, 224, 224]
        # The whole clip at once: only the kernels of the first layer extend over time.
        features = self.netcnnlip(images[None])  # [1, 512, T - 4, 1, 1]
        return self.netfclip(features[0, :, :, 0, 0].T).numpy()  # [T - 4, 1024]

    @torch.no_grad()
    def embed_audio(self, coefficients: np.ndarray) -> np.ndarray:
        """Embed windows of 20 frames of `mfcc`.

        Args:
            coefficients: [F, 13], F >= 20.

        Returns:
            float32 [(F - 20) // 4 + 1, 1024]; row i is the window of frames 4 i .. 4 i + 19.
        """
        windows = np.lib.stride_tricks.sliding_window_view(coefficients, AUDIO_WINDOW, 0)[::AUDIO_STEP]  # [n, 13, 20]
        batches = torch.from_numpy(windows.astype(np.float32))[:, None].split(_CHUNK)  # [_CHUNK, 1, 13, 20] each
        return torch.cat([self.netfcaud(self.netcnnaud(batch).flatten(1)) for batch in batches]).numpy()  # [n, 1024]


def _layer(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, nn.Module, nn.Module]:
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return convolution, norm(convolution.out_channels), nn.ReLU(inplace=True)


def face_boxes(landmarks: np.ndarray) -> np.ndarray:
    """Boxes similar to those of S3FD, [T, 4]: left, top, right, bottom in pixels.

    The bounding box of the mesh's 468 face points, its top raised by `FOREHEAD`.

    Args:
        landmarks: [T, 478, 2 or 3] in pixels.
    """
    points = np.asarray(landmarks, np.float64)[:, :468, :2]
    (left, top), (right, bottom) = points.min(1).T, points.max(1).T
    return np.stack([left, top - FOREHEAD * (bottom - top), right, bottom], 1)


def s3fd_track(frames: Iterable[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """Boxes of S3FD itself on the tracked face, [T, 4] as `face_boxes`, interpolated where it finds none.

    As in the published face track, frames are searched at a quarter of their size, for boxes of a score above 0.9.

    Args:
        frames: RGB uint8 [H, W, 3] each.
        landmarks: [T, 478, 2 or 3] in pixels, of at least as many frames.

    Raises:
        InputError: S3FD finds the face in no frame.
        UsageError: the package face-alignment or its weights are missing.
    """
    found: list[np.ndarray | None] = []
    for frame, mesh in zip(frames, face_boxes(landmarks)):
        tracked = FaceBox(*mesh)
        here = [box for box in s3fd_boxes(frame) if box.overlap(tracked) > 0.5]
        best = max(here, key=lambda box: box.score, default=None)
        found.append(None if best is None else np.array([best.left, best.top, best.right, best.bottom]))
    known = [index for index, box in enumerate(found) if box is not None]
    if not known:
        raise InputError("S3FD finds the face in no frame")
    boxes = np.array([found[index] for index in known])
    return np.stack([np.interp(np.arange(len(found)), known, edge) for edge in boxes.T], 1)


def mouth_crops(
    frames: Iterable[np.ndarray], landmarks: np.ndarray, boxes: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield SyncNet's input for each frame: uint8 [224, 224, 3] **BGR**.

    The published face track: half of the box's larger side, b, and its centre (x, y), each median-filtered over 13
    frames (beyond the ends zeros, which keeps b small there); of the frame the square from x - 1.4 b to x + 1.4 b and
    from y - b down to y + 1.8 b, whole pixels, grey 110 beyond the frame's edges; resized bilinearly. The crop thus
    shows the whole face, not only the mouth, with the lips a little below the centre. Boxes: those of `s3fd_track`, or
    `face_boxes` in place of them, in every frame. Left out: the lossy steps in between (MPEG-4, JPEG, MPEG-4, JPEG),
    and the refusal of tracks up to 100 frames and of faces under 100 pixels.

    Args:
        frames: RGB uint8 [H, W, 3] each.
        landmarks: [T, 478, 2 or 3] in pixels, without gaps; T >= the number of frames.
        boxes: of S3FD, [T, 4]; None for `face_boxes`.

    Raises:
        InputError: landmarks that are not faces, or too few of them for the filter or for the frames.
    """
    landmarks = np.asarray(landmarks)
    if landmarks.ndim != 3 or landmarks.shape[1] < 468 or not np.isfinite(landmarks).all():
        raise InputError("SyncNet needs the whole face's landmarks in every frame")
    if len(landmarks) < _MEDIAN:
        raise InputError(f"SyncNet's face track needs {_MEDIAN} frames, the clip has {len(landmarks)}")
    left, top, right, bottom = (face_boxes(landmarks) if boxes is None else boxes).T
    half = medfilt(np.maximum(right - left, bottom - top) / 2, _MEDIAN)
    if half.min() < _LEAST_FACE / 2:
        raise InputError(f"the face is under {_LEAST_FACE} pixels, too small for SyncNet")
    x, y = medfilt((left + right) / 2, _MEDIAN), medfilt((top + bottom) / 2, _MEDIAN)
    return _crops(frames, half, x, y)


def _crops(frames: Iterable[np.ndarray], half: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    for index, frame in enumerate(frames):
        if index == len(half):
            raise InputError(f"the clip has more frames than its {index} sets of landmarks")
        b = float(half[index])
        below, beside = b * (1 + 2 * _CROP_SCALE), b * (1 + _CROP_SCALE)
        margin = int(below)  # the original cuts from a frame with this margin, and rounds down there
        corners = (y[index] - b, y[index] + below, x[index] - beside, x[index] + beside)
        square = _cut(frame, *(int(corner + margin) - margin for corner in corners))
        yield cv2.resize(np.ascontiguousarray(square[..., ::-1]), (CROP_SIZE, CROP_SIZE))


def _cut(frame: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """frame[top:bottom, left:right], which may extend beyond the frame's edges."""
    height, width = frame.shape[:2]
    square = np.full((bottom - top, right - left, 3), _FILL, np.uint8)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = frame[rows, columns]
        square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    return square


def syncnet_scores(
    network: SyncNet,
    frames: Iterable[np.ndarray],
    landmarks: np.ndarray,
    audio: np.ndarray,
    *,
    max_shift: int = MAX_SHIFT,
    whole_frames: bool = False,
    boxes: np.ndarray | None = None,
) -> SyncScores:
    """`sync_scores` of `syncnet_embeddings` of one clip.

    Arguments, protocol and errors are those of the two functions: offset (frames, 0 is best, > 0: video late), LSE-C
    (higher is better) and LSE-D (lower is better).
    """
    both = syncnet_embeddings(network, frames, landmarks, audio, whole_frames=whole_frames, boxes=boxes)
    return sync_scores(*both, max_shift)


def syncnet_embeddings(
    network: SyncNet,
    frames: Iterable[np.ndarray],
    landmarks: np.ndarray,
    audio: np.ndarray,
    *,
    whole_frames: bool = False,
    boxes: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """SyncNet's embeddings of one clip's windows, of video and of sound: float32 [windows, 1024] each.

    Protocol "LSE on real videos" of Prajwal et al. 2020: `mouth_crops`; windows of 5 frames at every frame; window i
    with `mfcc` frames 4 i .. 4 i + 19 of the sound as 16-bit values, so that both begin at i / 25 s; `sync_scores` over
    -15 .. 15 frames. A clip of m = min(T, n // 640) frames has m - 5 windows: the last possible one is left out, as in
    the published code, since its last coefficients would extend beyond the end. Averages over a dataset are means of
    the clips' values.

    Args:
        network: the published network.
        frames: RGB uint8 [H, W, 3] at 25 a second, an iterable or [T, H, W, 3]; only a few are held at a time.
        landmarks: [T, 478, 3] pixels, complete.
        audio: float [n] in -1..1, 16 kHz, beginning with the first frame.
        whole_frames: resize every frame to 224 x 224 instead of cropping it, as Prajwal et al. 2020 do for datasets of
            face crops (their script for LRS).
        boxes: of `s3fd_track`, [T, 4]; None for those of the mesh.

    Raises:
        InputError: silence, under 21 frames of video with sound, fewer frames than landmarks, or no face.
    """
    samples_per_frame = SAMPLE_RATE // FPS
    count = min(len(landmarks), len(audio) // samples_per_frame)
    windows = count - WINDOW
    if windows <= MAX_SHIFT:
        least = MAX_SHIFT + 1 + WINDOW
        raise InputError(f"SyncNet needs {least} frames ({least / FPS} s) of video with sound, the clip has {count}")
    check_audible(audio, "SyncNet")
    cepstrum = mfcc(int16_range(audio))[: AUDIO_STEP * (windows - 1) + AUDIO_WINDOW]
    size = (CROP_SIZE, CROP_SIZE)
    crops = (
        (cv2.resize(frame, size)[..., ::-1] for frame in frames)
        if whole_frames
        else mouth_crops(frames, landmarks, boxes)
    )
    crops = islice(crops, windows + WINDOW - 1)
    video = [row for stretch in _stretches(crops) for row in network.embed_video(stretch)]
    if len(video) < windows:
        raise InputError(f"the clip has fewer frames than its {len(landmarks)} sets of landmarks")
    return np.array(video), network.embed_audio(cepstrum)


def _stretches(crops: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Stretches of `_CHUNK` + 4 crops, each beginning with the last four of its predecessor."""
    held = list(islice(crops, WINDOW - 1))
    while fresh := list(islice(crops, _CHUNK)):
        held += fresh
        yield np.stack(held)
        held = held[1 - WINDOW :]
