"""Several videos of the same frames side by side, each with its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing

import cv2
import numpy as np

# Height in pixels of the strip with the names.
_STRIP = 32


def side_by_side(panels: Mapping[str, Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Join the frames of several videos from left to right.

    Args:
        panels: name -> frames, uint8 [H, W, 3]. The first one sets the height and the number of frames. Others are
            scaled to its height, and repeat their last frame where they are shorter.

    Yields:
        Frames uint8 [h, w, 3] with even sides.
    """
    with ExitStack() as stack:
        first, *others = (stack.enter_context(closing(frames)) for frames in panels.values())
        latest = [next(frames) for frames in others]
        strip = None
        for frame in first:
            parts = [frame, *(_of_height(other, len(frame)) for other in latest)]
            if strip is None:
                strip = np.hstack([_label(name, part.shape[1]) for name, part in zip(panels, parts)])
            yield np.vstack([strip, np.hstack(parts)])
            latest = [next(frames, other) for frames, other in zip(others, latest)]


def _of_height(frame: np.ndarray, height: int) -> np.ndarray:
    if len(frame) == height and frame.shape[1] % 2 == 0:
        return frame
    width = max(2, 2 * round(frame.shape[1] * height / len(frame) / 2))
    smaller = height < len(frame)
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _label(text: str, width: int) -> np.ndarray:
    strip = np.full((_STRIP, width, 3), 24, np.uint8)
    cv2.putText(strip, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (235, 235, 235), 1, cv2.LINE_AA)
    return strip
