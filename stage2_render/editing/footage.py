"""A filmed person: the video's frames by number, where the face is in them, and its motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from shared.face_model.fitting import fit
from shared.face_model.measures import lid_gap
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.tracking import Track

# Frames that are fitted at once.
_CHUNK = 256
# Of a face that leaves the picture: the share of its points inside below which there is nothing to warp.
_LEAST_INSIDE = 1 / 3


class FrameReader:
    """The frames of a video by number, for requests that mostly move forward at one or two places at once.

    Two frames are held, whatever the length; a request behind both places reads the video from its beginning.

    Args:
        video: starts to read the video, and returns an iterator of uint8 [H, W, 3].
    """

    def __init__(self, video: Callable[[], Iterator[np.ndarray]]) -> None:
        self._video = video
        self._places: list[tuple[int, np.ndarray | None, Iterator[np.ndarray]]] = []

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame `index`, without its last row or column where they are odd in number.

        Raises:
            IndexError: the video has no such frame.
        """
        before = [place for place in self._places if place[0] <= index]
        chosen = max(before, key=lambda place: place[0]) if before else (-1, None, iter(self._video()))
        # With one place left free, a jump forward leaves the place that it came from: a second one reads on there.
        if before and chosen[0] + 1 < index and len(self._places) < 2:
            chosen = (-1, None, iter(self._video()))
        if chosen in self._places:
            self._places.remove(chosen)
        number, frame, frames = chosen
        while number < index:
            frame = next(frames, None)
            if frame is None:
                raise IndexError(f"the video has {number + 1} frames, no frame {index}")
            number += 1
        assert frame is not None
        self._places = [*self._places[-1:], (number, frame, frames)]
        height, width = frame.shape[:2]
        return np.ascontiguousarray(frame[: height - height % 2, : width - width % 2])


class Footage:
    """A video whose person was tracked.

    Args:
        model: the face model.
        video: starts to read the video, and returns an iterator of uint8 [H, W, 3] at 25 frames per second.
        track: of its T frames.
        motion: of the track, T frames with the person's identity.
        size: width and height of the frames in pixels.
    """

    def __init__(
        self,
        model: MorphableModel,
        video: Callable[[], Iterator[np.ndarray]],
        track: Track,
        motion: Motion,
        size: tuple[int, int],
    ) -> None:
        if motion.identity is None or len(motion) != len(track.landmarks):
            raise ValueError("the motion of a video has the identity of its person and a frame for each of the track")
        self.model, self.video, self.track, self.motion = model, video, track, motion
        self.identity = motion.identity
        x, y = track.landmarks[:, :468, 0], track.landmarks[:, :468, 1]
        inside = ((x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])).mean(1)
        self.usable = (track.confidence > 0) & (inside >= _LEAST_INSIDE)
        """bool [T], the frames that show the face."""
        self.shots = np.searchsorted(np.asarray(track.cuts, int), np.arange(len(motion)), side="right")
        """int [T], the number of each frame's shot."""
        self._usual_lids = 1.0
        self._usual_lids = float(np.median(self.lids(motion)[self.usable])) if self.usable.any() else 1.0
        self.openness = self.lids(motion)
        """[T], how far the lids are apart, 1 as usual."""

    def __len__(self) -> int:
        return len(self.motion)

    def lids(self, motion: Motion) -> np.ndarray:
        """How far the lids are apart in a motion of this person, [T], 1 as usual in the video."""
        return lid_gap(self.model.vertices(self.identity, motion.expression)) / max(self._usual_lids, 0.1)

    def photo(self, index: int, image: np.ndarray) -> PhotoFit:
        """Return frame `index` as a photo, fitted with the identity of the whole video."""
        points = self.track.landmarks[index]
        crop = Crop.around(points)
        result = fit(self.model, crop.to_crop(points)[None], identity=self.identity)
        of_frame = {name: getattr(result, name)[0] for name in ("expression", "rotation", "translation", "residual")}
        return PhotoFit(image, points, crop, self.model, self.identity, **of_frame)

    def smoothed_away(self) -> np.ndarray:
        """What smoothing and a common rest took from the tracked expression, without each shot's mean: [T, D].

        The fast part of speech: lips that close for one frame are not quite closed in smoothed motion.
        """
        fast = np.zeros_like(self.motion.expression)
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            points = np.stack([Crop.around(one).to_crop(one) for one in self.track.landmarks[part]])
            fast[part] = fit(self.model, points, identity=self.identity).expression - self.motion.expression[part]
        fast[~self.usable] = 0
        for shot in range(self.shots[-1] + 1):
            of_shot = self.usable & (self.shots == shot)
            if of_shot.any():
                fast[of_shot] -= fast[of_shot].mean(0)
        return fast
