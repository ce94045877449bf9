"""Systems that `fd2talk evaluate` runs itself: the bundled system, variants with one part replaced, and baselines.

Each takes the first frame of a recording as its photo and generates the whole recording from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fd2talk.evaluation.inputs.clip_reader import pick, take_frames
from fd2talk.evaluation.metrics.cost import Stopwatch, Timings
from fd2talk.evaluation.system_names import (
    NETWORK_ALONE,
    SYSTEMS,
    TRACKED,
    WITH_DIFFUSION,
    WITHOUT_NETWORKS,
    motion_weights,
    renderer_of,
)
from fd2talk.track import photo_motion
from shared.errors import InputError, UsageError
from shared.media import FPS, SAMPLE_RATE, VideoWriter, read_video
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import save_arrays
from shared.tracking import Track, motion_from_track, photo_of_clip
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES, PostProcessing
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.diffusion.renderer import BATCH_SIZE, paste
from stage2_render.diffusion.tensors import to_pictures, to_tensor
from stage2_render.face_crop import head_crop
from stage2_render.pipeline import RenderPipeline

FRAMES_SUFFIX = ".frames"
"""Of the file of chosen frames, as `ClipFiles.frames`."""

_KEPT = 100  # fitted photos


@dataclass(frozen=True, eq=False)
class Recording:
    """One clip of the evaluation.

    Args:
        name: what it is called.
        person: whose face it shows.
        video: the video file.
        audio: float32 [n], 16 kHz.
        track: the tracked face, at 25 frames per second.
        style_from: motion that the style of `STYLED` is read from.
    """

    name: str
    person: str
    video: Path
    audio: np.ndarray
    track: Track
    style_from: Motion | None = None

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return len(self.track.landmarks)

    @property
    def samples(self) -> int:
        """Number of audio samples for all frames."""
        return self.frames * SAMPLE_RATE // FPS

    @property
    def fitted_audio(self) -> np.ndarray:
        """The audio, cut or padded with silence to the length of the frames."""
        return np.pad(self.audio, (0, max(0, self.samples - len(self.audio))))[: self.samples]


class ClipGenerator:
    """Generates the clips of one system; nothing is loaded before the first call.

    Args:
        name: key of `SYSTEMS`.
        weights: `bundled` or a folder, for both stages as `TalkingHeadPipeline` takes it (`ridge` takes only its
            renderer from there).
        recordings: all recordings of the run, from which `shuffled-audio` takes another person's speech.
        render: settings of the diffusion renderer, arguments of `RenderPipeline`.
        sampling: of the motion model.
        device: torch device.
        photos: fitted photos by video, which generators share and add to, so that the time of stage two is less; None:
            one is fitted for every clip.

    Raises:
        UsageError: there is no such system.
        InputError: `shuffled-audio` with fewer than two recordings.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str = "bundled",
        recordings: Sequence[Recording] = (),
        render: Mapping[str, Any] | None = None,
        sampling: SamplingOptions = SamplingOptions(),
        device: str = "cpu",
        photos: dict[Path, PhotoFit] | None = None,
    ) -> None:
        if name not in SYSTEMS:
            raise UsageError(f"there is no system {name!r}; there are: {', '.join(SYSTEMS)}")
        if name == "shuffled-audio" and len(recordings) < 2:
            raise InputError("the system shuffled-audio needs at least two clips: one is driven by another's speech")
        self.name, self.weights, self.device, self._photos = name, weights, device, photos
        self._recordings, self._render, self._sampling = list(recordings), dict(render or {}), sampling

    def __call__(
        self,
        recording: Recording,
        seed: int,
        folder: Path,
        *,
        video: bool = True,
        numbers: np.ndarray | None = None,
    ) -> Timings:
        """Write ``folder/<name>.mp4`` and ``folder/<name>.npz`` (the motion), replacing existing files atomically.

        A system of `NETWORK_ALONE` has no video.

        Both have the recording's own sound and its number of frames. Frames have the clip's size without an odd last
        row and column. The motion's pose is relative to the head crop of the photo; of systems with the reference's
        motion, to that of the whole clip. The same seed gives the same bytes.

        Args:
            recording: the recording to generate.
            seed: random seed.
            folder: where the files are written.
            video: render the video, too.
            numbers: render only these frames, and write them with their meshes to ``folder/<name>.frames`` instead.

        Raises:
            InputError: the first frame shows no usable face.
        """
        video = video and self.name not in NETWORK_ALONE
        self._load(video)
        watch = Stopwatch()
        motion, photo = self._generate(recording, seed, watch)
        audio = recording.fitted_audio
        folder.mkdir(parents=True, exist_ok=True)
        shown = motion if numbers is None else take_frames(motion, np.minimum(numbers, len(motion) - 1))
        frames = partial(self._frames, recording, photo, shown, numbers)
        if video and numbers is not None:
            with watch("stage2"):
                pictures = np.stack([_even(frame) for frame in frames()])
            with watch("writing"):
                meshes = photo.vertices_px(shown.expression, shown.rotation, shown.translation)
                save_arrays(folder / f"{recording.name}{FRAMES_SUFFIX}", frames=pictures, landmarks=meshes)
        elif video:
            _write(folder / f"{recording.name}.mp4", frames, recording.frames, audio, watch)
        with watch("writing"):
            motion = replace(motion, audio=audio, source=f"{self.name}, seed {seed}")
            motion.save(folder / f"{recording.name}.npz", overwrite=True)
        return watch.timings(recording.frames)

    def _generate(self, recording: Recording, seed: int, watch: Stopwatch) -> tuple[Motion, PhotoFit]:
        if self.name in TRACKED:
            image = _first_frame(recording.video)
            with watch("stage1"):
                motion = motion_from_track(self.warp.model, recording.track)
                return motion, photo_of_clip(image, recording.track, motion, self.warp.model)
        photo = self._photo(recording.video, watch)
        if self.name == "static":
            return _of_length(photo_motion(photo, ""), recording.frames), photo
        with watch("stage1"):
            rules = NO_RULES if self.name in NETWORK_ALONE else PostProcessing()
            audio = self._driving_audio(recording)
            style, options = None, self._sampling
            if recording.style_from is not None:
                style = self.speech_to_motion.style_of(recording.style_from)
            elif self.speech_to_motion.style is None:
                options = replace(options, style_guidance=None)  # of a clip too short to give a style
            motion = self.speech_to_motion(
                audio, photo=photo, seed=seed, options=options, postprocessing=rules, style=style
            )
            return motion, photo

    def _photo(self, video: Path, watch: Stopwatch) -> PhotoFit:
        """The first frame, fitted."""
        if self._photos is not None and video in self._photos:
            return self._photos[video]
        image = _first_frame(video)
        with watch("stage2"):
            try:
                photo = PhotoFit.fit(image, self.warp.model)
            except InputError as error:
                raise InputError(f"{video}: {error}") from error
        if self._photos is not None and len(self._photos) < _KEPT:
            self._photos[video] = photo
        return photo

    def _frames(
        self, recording: Recording, photo: PhotoFit, motion: Motion, numbers: np.ndarray | None
    ) -> Iterator[np.ndarray]:
        """The frames of a motion; numbers: of its frames in the recording, None for all."""
        if self.name == "static":
            return (photo.image for _ in range(len(motion)))
        if self.name == "ground-truth":
            networks = self.renderer.networks
            assert isinstance(networks, RenderNetworks)  # as for all of `WITH_DIFFUSION`
            inputs = recording.video, recording.track, networks, self.device
            if numbers is None:
                return autoencoded_frames(*inputs)
            return islice(autoencoded_frames(*inputs, numbers=[0, *numbers]), 1, None)
        size = max(64, *photo.image.shape[:2])
        settings = self._render if self.name in WITH_DIFFUSION else {}
        return self.renderer(photo, motion, relative=False, max_size=size, **settings)

    def _driving_audio(self, recording: Recording) -> np.ndarray:
        """The audio that drives the motion, of the clip's length.

        Its own, or for `shuffled-audio` that of the next person in the order of the recordings (of the next clip if
        there is only one person), repeated as necessary.
        """
        if self.name != "shuffled-audio":
            return recording.fitted_audio
        names = [one.name for one in self._recordings]
        if recording.name not in names:
            raise InputError(f"{recording.name}: not among the clips of this run")
        at = names.index(recording.name)
        order = self._recordings[at + 1 :] + self._recordings[:at]
        others = [one for one in order if one.person != recording.person] or order
        return np.resize(others[0].audio, recording.samples)

    @cached_property
    def warp(self) -> RenderPipeline:
        """Stage two without networks, and the face model that photos are fitted with."""
        return RenderPipeline.from_pretrained(self.weights, renderer="geometry")

    @cached_property
    def renderer(self) -> RenderPipeline:
        """Stage two."""
        if self.name in WITHOUT_NETWORKS:
            return self.warp
        return RenderPipeline.from_pretrained(self.weights, renderer=renderer_of(self.name), device=self.device)

    @cached_property
    def speech_to_motion(self) -> MotionPipeline:
        """Stage one."""
        weights = motion_weights(self.name, self.weights)
        assert weights is not None  # the other systems generate no motion
        return MotionPipeline.from_pretrained(weights, device=self.device)

    def _load(self, video: bool) -> None:
        """Load every model before time is measured."""
        _ = self.renderer if video else self.warp
        if motion_weights(self.name, self.weights) is not None:
            _ = self.speech_to_motion


@torch.inference_mode()
def autoencoded_frames(
    video: Path,
    track: Track,
    networks: RenderNetworks,
    device: str = "cpu",
    *,
    numbers: Collection[int] | None = None,
) -> Iterator[np.ndarray]:
    """Yield the video's frames, each with the renderer's square encoded, decoded and pasted back with a soft edge.

    The decoder takes the latents of the clip's first frame as reference (eq. 13) and those of the frame itself. Inside
    the square, up to its edge, no pixel of the video is kept.

    Args:
        video: the video file.
        track: its track.
        networks: of the renderer.
        device: torch device.
        numbers: only these frames, with the first one; None for all.

    Yields:
        uint8 [H, W, 3].
    """
    autoencoder, reference, crop = networks.autoencoder, None, head_crop(track.crop)
    left, top, side = networks.window
    frames: Iterator[np.ndarray] = islice(read_video(video), len(track.landmarks))
    if numbers is not None:
        frames = pick(frames, numbers)
    while batch := list(islice(frames, BATCH_SIZE)):
        faces = np.stack([crop.take(image)[top : top + side, left : left + side] for image in batch])
        latents = autoencoder.encode(to_tensor(faces, device))
        reference = latents[:1] if reference is None else reference
        contents = to_pictures(autoencoder.decode(reference.expand_as(latents), latents)).astype(np.float32)
        for image, content in zip(batch, contents):
            yield paste(image, crop, content, networks.window)


def _first_frame(video: Path) -> np.ndarray:
    with closing(read_video(video)) as frames:
        return next(frames)


def _of_length(motion: Motion, frames: int) -> Motion:
    """The first `frames` frames, the last one repeated if there are fewer; without sound."""
    return take_frames(motion, np.minimum(np.arange(frames), len(motion) - 1))


def _even(frame: np.ndarray) -> np.ndarray:
    """Without an odd last row and column, which videos cannot have."""
    height, width = (side - side % 2 for side in frame.shape[:2])
    return frame[:height, :width]


def _write(
    path: Path, render: Callable[[], Iterator[np.ndarray]], count: int, audio: np.ndarray, watch: Stopwatch
) -> None:
    """Encode exactly `count` frames, the last one repeated if there are fewer."""
    with watch("stage2"):
        frames = render()
    with closing(frames):
        with watch("stage2"):
            frame = next(frames)
        height, width = _even(frame).shape[:2]
        with watch("writing"), VideoWriter(path, (width, height), audio=audio, overwrite=True) as writer:
            for _ in range(count):
                writer.write(_even(frame))
                with watch("stage2"):
                    frame = next(frames, frame)
