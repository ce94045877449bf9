"""Image quality of one clip in one pass over its frames: memory does not grow with the length of the clip."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal

import cv2
import numpy as np

from fd2talk.evaluation.inputs.clip_reader import FIRST_FRAME, ClipReader
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.networks import MetricNetworks
from shared.errors import InputError
from shared.metrics.image import Box, region_figures, sharpness, temporal_flicker
from shared.metrics.perceptual import picture_distance
from shared.metrics.rendering import face_mask, head_distance, head_move, is_turned, mouth_change, part_boxes

_REGIONS = ("", "_face", "_mouth", "_eyes")  # endings of a metric's key: the whole frame, and parts of it
_CLASS = re.compile(r"(?P<base>.+?)(?P<cls>_(?P<part>mouth|eyes|head)_.+)")  # of a key of the family `image_by_motion`
STRIDE = 5
"""Networks (LPIPS, squeeze distance, CSIM, Inception) process every fifth frame; of chosen frames, all."""


@dataclass
class ImageScores:
    """Values by metric, and Inception features [n, 2048] of every STRIDEth frame, or None."""

    values: dict[str, float]
    features: np.ndarray | None


def image_scores(
    generated: ClipReader,
    reference: ClipReader | None,
    wanted: Collection[str],
    networks: MetricNetworks,
    *,
    resampled: bool = False,
) -> ImageScores:
    """Compute the wanted metrics of the families `image` and `image_by_motion` that the pair allows.

    Args:
        generated: the generated clip.
        reference: the reference clip, or None.
        wanted: keys of metrics.
        networks: the available metric networks.
        resampled: resize generated frames to the reference's size, and cut the longer clip.

    Returns:
        Means over frames (of each class of frames that the clip has), and the features for FID.

    Raises:
        InputError: frames of different sizes or numbers without `resampled`, or a video that cannot be decoded.
    """
    per_frame: dict[str, list[float]] = defaultdict(list)
    features = []
    conditional = [key for key in wanted if CATALOGUE[key].family == "image_by_motion"]
    of_class = {key: found for key in conditional if (found := _CLASS.fullmatch(key))}
    bases = {key: f"{found['base']}_{found['part']}".removesuffix("_head") for key, found in of_class.items()}
    scorer = _FrameScorer(generated, reference, {*wanted, *bases.values()}, networks)
    numbers = count() if generated.numbers is None else generated.numbers

    def scored_frames() -> Iterator[np.ndarray]:
        for index, (number, (frame, target)) in enumerate(zip(numbers, _side_by_side(generated, reference, resampled))):
            scores = scorer.scores(index, frame, target)
            classes = scorer.classes(index) if bases and number >= FIRST_FRAME else ()
            in_class = (key for key, found in of_class.items() if found["cls"] in classes and bases[key] in scores)
            for name, value in (scores | {key: scores[bases[key]] for key in in_class}).items():
                per_frame[name].append(value)
            if "fid" in wanted and scorer.sampled(index):
                features.append(networks.inception.features(frame[None])[0])
            yield frame

    flicker = temporal_flicker(scored_frames())  # this pass over the frames also computes all other scores
    values = {name: float(np.mean(of_frames)) for name, of_frames in per_frame.items()}
    if "sharpness" in wanted and reference is not None:
        own, target = values.pop("_sharpness"), values.pop("_reference_sharpness")
        values["sharpness"] = own / target if target else float("nan")
    if "flicker" in wanted:
        values["flicker"] = flicker
    return ImageScores(values, np.stack(features) if features else None)


class _FrameScorer:
    """Metrics of single frames."""

    def __init__(
        self,
        generated: ClipReader,
        reference: ClipReader | None,
        wanted: Collection[str],
        networks: MetricNetworks,
    ) -> None:
        self.generated, self.reference, self.networks, self.wanted = generated, reference, networks, set(wanted)
        self.pixel_metrics = any(name.startswith(("psnr", "ssim")) for name in wanted)
        self.source = generated if reference is None else reference  # of the photo, its first frame
        self.photo_embedding: np.ndarray | None = None
        self.distances: dict[str, Callable[[np.ndarray, np.ndarray, Box | None], float]] = {}
        if self._wants("squeeze_distance"):
            self.distances["squeeze_distance"] = partial(picture_distance, networks.squeeze)
        nets: tuple[Literal["alex", "vgg"], ...] = ("alex", "vgg")
        for net in nets:
            if self._wants(f"lpips_{net}"):
                self.distances[f"lpips_{net}"] = networks.lpips(net).distance

    def _wants(self, name: str) -> bool:
        """Whether the metric is wanted for the whole frame or for a part of it."""
        return not self.wanted.isdisjoint(name + end for end in _REGIONS)

    def sampled(self, index: int) -> bool:
        """Whether networks process the frame."""
        return self.generated.numbers is not None or index % STRIDE == 0

    def classes(self, index: int) -> list[str]:
        """What mouth and head of the reference did in frame `index`, as endings of keys."""
        points, photo = _at(self.source.landmarks, index), self.source.track.landmarks[0]
        moved = f"_head_{head_move(float(head_distance(points, photo)))}"
        turned = [f"_{part}_turned" for part in ("mouth", "eyes", "head") if is_turned(points, photo)]
        return [f"_mouth_{mouth_change(points, photo)}", moved, *turned]

    def scores(self, index: int, frame: np.ndarray, target: np.ndarray | None) -> dict[str, float]:
        """Scores of frame `index`; target: the reference frame, or None."""
        scores: dict[str, float] = {}
        sampled = self.sampled(index)
        if target is not None and (self.pixel_metrics or self.distances or "sharpness" in self.wanted):
            points = _at(self.source.landmarks, index)
            size = target.shape[0], target.shape[1]
            face, parts = face_mask(points, size), part_boxes(points, size)
            if self.pixel_metrics:
                masks = (None, face, *(_mask(parts[part], size) for part in ("mouth", "eyes")))
                scores |= region_figures(frame, target, dict(zip(_REGIONS, masks)))
            if "sharpness" in self.wanted:
                scores["_sharpness"], scores["_reference_sharpness"] = sharpness(frame, face), sharpness(target, face)
            if sampled:
                regions: tuple[Sequence[Box | None], ...] = ([None], [_bounds(face)], parts["mouth"], parts["eyes"])
                boxes = dict(zip(_REGIONS, regions))
                for name, distance in self.distances.items():
                    for end in (end for end in _REGIONS if name + end in self.wanted):
                        scores[name + end] = float(np.mean([distance(frame, target, box) for box in boxes[end]]))
        if "identity" in self.wanted and sampled:
            if self.photo_embedding is None:
                self.photo_embedding = self.networks.embed(self.source.photo, self.source.track.landmarks[0])
            points = _at(self.generated.landmarks, index)
            if self.generated.files.video:  # the frame may have been resized
                info = self.generated.info
                points = points * np.array([frame.shape[1] / info.width, frame.shape[0] / info.height, 1])
            scores["identity"] = float(self.photo_embedding @ self.networks.embed(frame, points))
        return {name: value for name, value in scores.items() if name in self.wanted or name.startswith("_")}


def _side_by_side(
    generated: ClipReader, reference: ClipReader | None, resampled: bool
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield generated and reference frames of the same size."""
    if reference is None:
        yield from ((frame, None) for frame in generated.frames())
        return
    frames, targets = generated.frames(), reference.frames()
    while True:
        frame, target = next(frames, None), next(targets, None)
        if frame is None or target is None:
            if (frame is None) != (target is None) and not resampled:
                shorter = "generated" if frame is None else "reference"
                raise InputError(f"the {shorter} clip has fewer frames (--resample measures those that both have)")
            return
        height, width = (side - side % 2 for side in target.shape[:2])
        if frame.shape[:2] == (height, width):
            target = target[:height, :width]  # videos are written with even sides
        if frame.shape != target.shape:
            if not resampled:
                raise InputError(
                    f"the generated frames are {frame.shape[1]} x {frame.shape[0]} pixels, the reference frames "
                    f"{target.shape[1]} x {target.shape[0]} (--resample resizes them)"
                )
            method = cv2.INTER_AREA if frame.shape[0] > target.shape[0] else cv2.INTER_CUBIC
            frame = cv2.resize(frame, (target.shape[1], target.shape[0]), interpolation=method)
        yield frame, target


def _at(landmarks: np.ndarray, index: int) -> np.ndarray:
    return landmarks[min(index, len(landmarks) - 1)]


def _mask(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def _bounds(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
