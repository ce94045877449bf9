"""Image quality of one clip in one pass over its frames: a long clip needs no more memory than a short one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from fd2talk.evaluation.inputs.clip_reader import Footage
from shared.errors import InputError
from shared.faces.identity import IdentityEmbedder
from shared.metrics.image import Box, region_figures, sharpness, temporal_flicker
from shared.metrics.inception import Inception
from shared.metrics.lpips import LPIPS
from shared.metrics.perceptual import SqueezeDistance, picture_distance
from shared.metrics.rendering import face_mask, part_boxes
from shared.metrics.syncnet import SyncNet

_REGIONS = ("", "_face", "_mouth")  # endings of a metric's key: the whole frame, and parts of it
STRIDE = 5
"""Every so many frames go through the networks (LPIPS, squeeze distance, CSIM, Inception)."""


@dataclass
class Judges:
    """The files of the networks at hand: name in `shared.metrics.metric_networks.JUDGES` -> path."""

    paths: dict[str, Path]

    def lpips(self, net: str) -> LPIPS:
        """`alex` or `vgg`."""
        return _lpips(net, self.paths[f"lpips_{net}_trunk"], self.paths[f"lpips_{net}_linear"])

    @property
    def squeeze(self) -> SqueezeDistance:
        """For `squeeze_distance`."""
        return _loaded(SqueezeDistance, self.paths["squeezenet"])

    @property
    def embed(self) -> IdentityEmbedder:
        """For `identity`."""
        return _loaded(IdentityEmbedder, self.paths["identity"])

    @property
    def syncnet(self) -> SyncNet:
        """For `lse_c` and its like."""
        return _loaded(SyncNet.load, self.paths["syncnet"])

    @property
    def inception(self) -> Inception:
        """For `fid`."""
        return _loaded(Inception.load, self.paths["inception"])


@cache
def _loaded(load, path: Path):
    return load(path)


@cache
def _lpips(net: str, trunk: Path, linear: Path) -> LPIPS:
    return LPIPS(net, trunk=trunk, linear=linear)


@dataclass
class PictureFigures:
    """Values by metric; features: Inception's [n, 2048] of every STRIDEth frame, or None."""

    values: dict[str, float]
    features: np.ndarray | None


def picture_figures(
    made: Footage, real: Footage | None, wanted: Collection[str], judges: Judges, *, resampled: bool = False
) -> PictureFigures:
    """Every metric of the family `image` that is wanted and can be had, of one clip.

    resampled: made frames of another size are brought to the real ones', and the longer clip is cut.
    Raises InputError: frames of different sizes or numbers without `resampled`, nothing that can be decoded.
    """
    of_frames: dict[str, list[float]] = defaultdict(list)
    features = []
    meter = _Meter(made, real, wanted, judges)

    def shown() -> Iterator[np.ndarray]:
        for index, (ours, theirs) in enumerate(_side_by_side(made, real, resampled)):
            for name, value in meter.figures(index, ours, theirs).items():
                of_frames[name].append(value)
            if "fid" in wanted and index % STRIDE == 0:
                features.append(judges.inception.features(ours[None])[0])
            yield ours

    flicker = temporal_flicker(shown())  # draws the frames through everything above
    values = {name: float(np.mean(of_frame)) for name, of_frame in of_frames.items()}
    if "sharpness" in wanted and real is not None:
        ours, theirs = values.pop("_made_sharpness"), values.pop("_real_sharpness")
        values["sharpness"] = ours / theirs if theirs else float("nan")
    if "flicker" in wanted:
        values["flicker"] = flicker
    return PictureFigures(values, np.stack(features) if features else None)


class _Meter:
    """What is measured frame by frame."""

    def __init__(self, made: Footage, real: Footage | None, wanted: Collection[str], judges: Judges) -> None:
        self.made, self.real, self.wanted, self.judges = made, real, set(wanted), judges
        self.plain = any(name.startswith(("psnr", "ssim")) for name in wanted)
        self.photo = None  # the embedding of the reference's first frame
        self.learned = {}
        if self._wants("squeeze_distance"):
            self.learned["squeeze_distance"] = partial(picture_distance, judges.squeeze)
        for net in ("alex", "vgg"):
            if self._wants(f"lpips_{net}"):
                self.learned[f"lpips_{net}"] = judges.lpips(net).distance

    def _wants(self, name: str) -> bool:
        """Of the whole frame or of a part of it."""
        return not self.wanted.isdisjoint(name + end for end in _REGIONS)

    def figures(self, index: int, made: np.ndarray, real: np.ndarray | None) -> dict[str, float]:
        """Of frame `index`; real: None for a clip without reference."""
        figures: dict[str, float] = {}
        sampled = index % STRIDE == 0
        if real is not None and (self.plain or self.learned or "sharpness" in self.wanted):
            points = _at(self.real.track.landmarks, index)
            size = real.shape[:2]
            face, mouth = face_mask(points, size), part_boxes(points, size)["mouth"][0]
            if self.plain:
                figures |= region_figures(made, real, dict(zip(_REGIONS, (None, face, _mask(mouth, size)))))
            if "sharpness" in self.wanted:
                figures["_made_sharpness"], figures["_real_sharpness"] = sharpness(made, face), sharpness(real, face)
            if sampled:
                boxes = dict(zip(_REGIONS, (None, _bounds(face), mouth)))
                for name, distance in self.learned.items():
                    ends = [end for end in _REGIONS if name + end in self.wanted]
                    figures |= {name + end: distance(made, real, boxes[end]) for end in ends}
        if "identity" in self.wanted and sampled:
            if self.photo is None:
                source = self.real or self.made
                first = made if source is self.made else real
                self.photo = self.judges.embed(first, source.track.landmarks[0])
            info = self.made.info  # frames may have been brought to another size
            scale = np.array([made.shape[1] / info.width, made.shape[0] / info.height, 1])
            points = _at(self.made.track.landmarks, index) * scale
            figures["identity"] = float(self.photo @ self.judges.embed(made, points))
        return {name: value for name, value in figures.items() if name in self.wanted or name.startswith("_")}


def _side_by_side(
    made: Footage, real: Footage | None, resampled: bool
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    if real is None:
        yield from ((frame, None) for frame in made.frames())
        return
    ours, theirs = made.frames(), real.frames()
    while True:
        a, b = next(ours, None), next(theirs, None)
        if a is None or b is None:
            if (a is None) != (b is None) and not resampled:
                shorter = "made" if a is None else "real"
                raise InputError(f"the {shorter} clip has fewer frames (--resample measures what both have)")
            return
        height, width = (side - side % 2 for side in b.shape[:2])
        if a.shape[:2] == (height, width):
            b = b[:height, :width]  # videos are written with even sides
        if a.shape != b.shape:
            if not resampled:
                raise InputError(
                    f"the made frames are {a.shape[1]} x {a.shape[0]} pixels, the real ones "
                    f"{b.shape[1]} x {b.shape[0]} (--resample brings them to the same size)"
                )
            method = cv2.INTER_AREA if a.shape[0] > b.shape[0] else cv2.INTER_CUBIC
            a = cv2.resize(a, (b.shape[1], b.shape[0]), interpolation=method)
        yield a, b


def _at(landmarks: np.ndarray, index: int) -> np.ndarray:
    return landmarks[min(index, len(landmarks) - 1)]


def _mask(box: Box, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def _bounds(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
