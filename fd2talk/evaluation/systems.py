"""Systems that `fd2talk evaluate` runs itself: the bundled one, its parts exchanged one by one, and baselines.

Each is given the first frame of a recording as the photo and makes the rest of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from fd2talk.evaluation.metrics.cost import NO_PAINTER, Stopwatch, Timings, motion_weights
from fd2talk.track import photo_motion, track_file
from shared.errors import InputError, UsageError
from shared.media import FPS, SAMPLE_RATE, VideoWriter, read_video
from shared.motion import Motion
from shared.tracking import Track, motion_from_track
from stage1_motion.pipeline import MotionPipeline
from stage2_render.diffusion.face_crop import FaceCrop, window
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.diffusion.renderer import BATCH_SIZE
from stage2_render.pipeline import RenderPipeline
from stage2_render.training.batch_sampler import to_pictures, to_tensor

SYSTEMS = {
    "bundled": "Both stages as they come: the first frame of the clip and its sound, nothing else.",
    "warp": "The bundled motion on the photo warped, without the learned renderer.",
    "static": "The photo itself in every frame: what doing nothing scores.",
    "shuffled-audio": "The bundled system hearing another person's recording: what sync measures give by chance.",
    "ridge": "Ridge regression from log-mel energies instead of the motion model, rendered as the bundled system does.",
    "ground-truth": "The filmed face tracked, and encoded and decoded by the renderer's autoencoder with the first "
    "frame as reference: what the tracker and the autoencoder alone cost, no motion and no picture being generated.",
}
"""Name -> title."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One clip of the evaluation: name and person; video, the file that was filmed; audio float32 [n], 16 kHz; frames
    of the video at 25 per second."""

    name: str
    person: str
    video: Path
    audio: np.ndarray
    frames: int

    @property
    def sound(self) -> np.ndarray:
        """The audio, cut or filled up with silence to last exactly as long as the frames."""
        return np.pad(self.audio, (0, max(0, self.samples - len(self.audio))))[: self.samples]

    @property
    def samples(self) -> int:
        """Audio samples under all frames."""
        return self.frames * SAMPLE_RATE // FPS


class Generator:
    """Makes the videos of one system.

    name: of `SYSTEMS`. weights: `bundled` or a folder, for both stages as `TalkingHeadPipeline` takes it (`ridge` takes
    only its renderer from there). recordings: all of the run, among which `shuffled-audio` looks for another's voice.
    Nothing is loaded before the first call.

    Raises UsageError: there is no such system. InputError: `shuffled-audio` with fewer than two recordings.
    """

    def __init__(
        self, name: str, *, weights: str = "bundled", recordings: Sequence[Recording] = (), device: str = "cpu"
    ) -> None:
        if name not in SYSTEMS:
            raise UsageError(f"there is no system {name!r}; there are: {', '.join(SYSTEMS)}")
        if name == "shuffled-audio" and len(recordings) < 2:
            raise InputError("the system shuffled-audio needs at least two clips: one is driven by another's sound")
        self.name, self.weights, self.device = name, weights, device
        self._recordings = list(recordings)

    def __call__(self, recording: Recording, seed: int, folder: Path, *, video: bool = True) -> Timings:
        """Write ``folder/<name>.mp4`` (unless told not to) and then ``folder/<name>.npz``, the motion.

        Both replace what is there and appear whole or not at all; they have the recording's own sound and exactly its
        number of frames. Pictures are of the clip's size, less an odd last row and column. The motion's pose is
        relative to the head crop of the photo; of `ground-truth`, to that of the whole clip. The same seed gives the
        same bytes.

        Raises InputError: the first frame shows no usable face, or (`ground-truth`) too few frames do.
        """
        self._load(video)
        watch = Stopwatch()
        motion, frames = self._make(recording, seed, watch)
        sound = recording.sound
        folder.mkdir(parents=True, exist_ok=True)
        if video:
            _write(folder / f"{recording.name}.mp4", frames, recording.frames, sound, watch)
        with watch("writing"):
            motion = replace(motion, audio=sound, source=f"{self.name}, seed {seed}")
            motion.save(folder / f"{recording.name}.npz", overwrite=True)
        return watch.timings(recording.frames)

    def _make(
        self, recording: Recording, seed: int, watch: Stopwatch
    ) -> tuple[Motion, Callable[[], Iterator[np.ndarray]]]:
        """The motion, and what makes the frames."""
        if self.name == "ground-truth":
            with watch("stage1"):
                track = track_file(str(recording.video), quiet=True)
                motion = _of_length(motion_from_track(self.fitter.model, track), recording.frames)
            return motion, lambda: decoded(recording.video, track, self.painter.networks, self.device)
        image = _first_frame(recording)
        with watch("stage2"):
            try:
                photo = self.fitter.fit(image)
            except InputError as error:
                raise InputError(f"{recording.video}: {error}") from error
        if self.name == "static":
            motion = _of_length(photo_motion(photo, ""), recording.frames)
            return motion, lambda: (image for _ in range(recording.frames))
        with watch("stage1"):
            motion = self.speech_to_motion(self._heard(recording), photo=photo, seed=seed)
        return motion, lambda: self.painter(photo, motion, relative=False, max_size=max(64, *image.shape[:2]))

    def _heard(self, recording: Recording) -> np.ndarray:
        """What drives the motion, as long as the clip: its own sound, or for `shuffled-audio` that of the next person
        in the order of the recordings (of the next clip where there is one person alone), repeated as necessary."""
        if self.name != "shuffled-audio":
            return recording.sound
        names = [one.name for one in self._recordings]
        if recording.name not in names:
            raise InputError(f"{recording.name}: not among the clips of this run")
        at = names.index(recording.name)
        others = self._recordings[at + 1 :] + self._recordings[:at]
        foreign = [one for one in others if one.person != recording.person] or others
        return np.resize(foreign[0].audio, recording.samples)

    @cached_property
    def fitter(self) -> RenderPipeline:
        """Fits photos, and paints for systems without networks."""
        return RenderPipeline.from_pretrained(self.weights, renderer="geometry")

    @cached_property
    def painter(self) -> RenderPipeline:
        """Stage two."""
        if self.name in NO_PAINTER:
            return self.fitter
        return RenderPipeline.from_pretrained(self.weights, device=self.device)

    @cached_property
    def speech_to_motion(self) -> MotionPipeline:
        """Stage one."""
        return MotionPipeline.from_pretrained(motion_weights(self.name, self.weights), device=self.device)

    def _load(self, video: bool) -> None:
        """Have everything at hand before the clock runs."""
        _ = self.painter if video else self.fitter
        if motion_weights(self.name, self.weights) is not None:
            _ = self.speech_to_motion


@torch.inference_mode()
def decoded(video: Path, track: Track, networks: RenderNetworks, device: str = "cpu") -> Iterator[np.ndarray]:
    """The filmed frames uint8 [H, W, 3], each with its face crop encoded and decoded, laid back under a soft edge.

    The decoder gets the latents of the clip's first frame as reference (eq. 15) and of the frame itself, and nothing
    else, not the detail that the renderer takes from its warp. Inside the crop, up to its edge of 24 pixels, no filmed
    pixel is kept.
    """
    autoencoder, reference = networks.autoencoder, None
    frames = zip(read_video(video), track.landmarks)
    while batch := list(islice(frames, BATCH_SIZE)):
        crops = [FaceCrop.framed(networks.framing, points, track.crop) for _, points in batch]
        taken = np.stack([crop.take(image) for crop, (image, _) in zip(crops, batch)])
        latents = autoencoder.encode(to_tensor(taken).to(device))
        reference = latents[:1] if reference is None else reference
        pictures = autoencoder.decode(reference.expand_as(latents), latents)[0].float().cpu()
        contents = to_pictures(pictures).astype(np.float32)
        for (image, _), crop, content in zip(batch, crops, contents):
            frame = image.copy()  # a frame that is shown twice is one array
            crop.paste(frame, content, window())
            yield frame


def _first_frame(recording: Recording) -> np.ndarray:
    with closing(read_video(recording.video)) as frames:
        return next(frames)


def _of_length(motion: Motion, frames: int) -> Motion:
    """The first `frames` frames; where there are fewer the last one stays."""
    at = np.minimum(np.arange(frames), len(motion) - 1)
    curves = {name: getattr(motion, name) for name in ("expression", "rotation", "translation", "confidence")}
    return replace(motion, **{name: curve[at] for name, curve in curves.items() if curve is not None})


def _write(
    path: Path, make: Callable[[], Iterator[np.ndarray]], count: int, audio: np.ndarray, watch: Stopwatch
) -> None:
    """Encode exactly `count` frames; where there are fewer the last one stays."""
    with watch("stage2"):
        frames = make()
    with closing(frames):
        with watch("stage2"):
            frame = next(frames)
        height, width = (side - side % 2 for side in frame.shape[:2])
        with watch("writing"), VideoWriter(path, (width, height), audio=audio, overwrite=True) as writer:
            for _ in range(count):
                writer.write(frame[:height, :width])
                with watch("stage2"):
                    frame = next(frames, frame)
