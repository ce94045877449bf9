"""What goes into a motion model and what comes out: the pipeline uses nothing else of a model.

See `registry` for how a model is found, and docs/architecture.md, "Adding a motion model".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.interpolate import interp1d

from shared.audio import frame_count
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.motion_space import Articulation, MotionSpace, normalise_speech
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.speech_events import SpeechEvents
from stage1_motion.style import Style

if TYPE_CHECKING:
    import torch

    from stage1_motion.editing.bend import CurveKey
    from stage1_motion.editing.face_curves import Rest

# Pose of a frontal face in its head crop, for motion without a photo: centre and log of crop units per 100 mm.
_FRONTAL = np.array([0.0, -0.18, -0.32], np.float32)


@dataclass(frozen=True)
class SamplingOptions:
    """How a model samples; None leaves the value that its weights were tuned for.

    Args:
        steps: denoising steps of the diffusion sampler, of every network of the model.
        pose_steps: those of a separate pose network; None is `steps` if given, else what its weights were tuned for.
        guidance: classifier-free guidance scale on speech, of the expression; 1 is none.
        style_guidance: the same on the style, for models that take one (w_s of DiffPoseTalk eq. 10); 0 ignores it.
        eta: noise added back at each step, as a share of DDPM's (FD2Talk eq. 5), of the expression; 0 is deterministic
            DDIM.
        expression_scale: size of the face's motion, 1 as learned.
        pose_scale: size of the head's motion, 1 as learned; 0 keeps the head still.
        articulation: size of the face's fast movements alone, 1 as learned (`postprocessing.articulation`).
        blink_rate: blinks a minute; None: as filmed people blink (`postprocessing.eyes`).
        solver: instead of DDIM, for every network: see `shared.diffusion.solvers.make_solver`.
    """

    steps: int | None = None
    pose_steps: int | None = None
    guidance: float | None = None
    style_guidance: float | None = None
    eta: float | None = None
    expression_scale: float = 1.0
    pose_scale: float = 1.0
    articulation: float = 1.0
    blink_rate: float | None = None
    solver: str | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # numpy's scalars times a tensor are arrays
                object.__setattr__(self, name, value.item())


@dataclass
class Speech:
    """A recording at a model's frame rate.

    Args:
        features: float32 [T, S], of the speech encoder.
        events: where somebody speaks and where lips must close, [T] each.
        audio: float32 [n], mono, 16 kHz.
        fps: frames per second of features and events.
        streamed: a piece of a stream (`streaming`): its features and those of the tail are normalised by running
            statistics already.
    """

    features: np.ndarray
    events: SpeechEvents
    audio: np.ndarray
    fps: float = 25.0
    streamed: bool = False

    def __len__(self) -> int:
        return len(self.features)

    def normalised(self, tail: Tail | None = None) -> np.ndarray:
        """Features of the tail and of this speech, [C + T, S], as `normalise_speech` leaves them."""
        features, speaks = self.features, self.events.speaks
        if tail is not None:  # the statistics are those of the new frames
            features = np.concatenate([tail.speech, features])
            speaks = np.concatenate([np.zeros(len(tail.speech)), speaks])
        return features if self.streamed else normalise_speech(features, speaks)

    def at(self, fps: float) -> Speech:
        """The same at another frame rate, by linear interpolation."""
        if fps == self.fps:
            return self
        count = max(1, round(frame_count(len(self.audio)) * fps / self.fps))
        time = np.minimum(np.arange(count) * self.fps / fps, len(self) - 1)

        def resampled(values: np.ndarray) -> np.ndarray:
            if len(values) == 1:
                return np.repeat(values, count, axis=0)
            return interp1d(np.arange(len(values)), values, axis=0)(time).astype(np.float32)

        events = self.events
        settled = None if events.settled is None else resampled(events.settled)
        events = SpeechEvents(resampled(events.speaks), resampled(events.bilabials), settled)
        return Speech(resampled(self.features), events, self.audio, fps)


@dataclass
class Subject:
    """The person whose face is to move, as in the photo (or the mean face looking straight ahead).

    Args:
        identity: float32 [D_id].
        expression: float32 [D].
        rotation: float32 [3], see `shared.motion.Motion`.
        translation: float32 [3], likewise.
        template: float32 [N, 3] in mm, the neutral face.
        lip_gap: height of the photo's mouth opening in mm.
        lid_gap: height of its eyes' openings in mm; 0 where dark glasses hide them, which then do not blink.
    """

    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    template: np.ndarray
    lip_gap: float
    lid_gap: float

    @classmethod
    def of(cls, photo: PhotoFit | None, model: MorphableModel) -> Subject:
        """From a fitted photo, or the mean face looking straight ahead."""
        neutral = np.zeros(model.num_expression, np.float32)
        if photo is not None:
            vertices, template = photo.vertices(photo.expression), photo.vertices(neutral)
            values = (photo.identity, photo.expression, photo.rotation, photo.translation)
        else:
            vertices = template = model.mean
            values = (np.zeros(model.num_identity, np.float32), neutral, np.zeros(3, np.float32), _FRONTAL)
        lids = 0.0 if photo is not None and photo.eyes_hidden else float(lid_gap(vertices))
        return cls(*values, template, lip_gap=float(lip_gap(vertices)), lid_gap=lids)


@dataclass
class Constraint:
    """Motion that must stay as it is (editing, keyframes), as it is given to the pipeline.

    Args:
        motion: at 25 frames per second, at most as long as the speech.
        mask: bool [T], True where the motion stays; or [T, 4], apart for each of `parts.PARTS`.
        keys: curves of the face in frames of which only a part stays: they are met exactly, as far as the parts of a
            face cannot be told apart.
        rest: from what the keys count; needed with keys.
    """

    motion: Motion
    mask: np.ndarray
    keys: Sequence[CurveKey] = ()
    rest: Rest | None = None


@dataclass
class Known:
    """A constraint as a model gets it: in its motion space, at its frame rate.

    Args:
        expression: float32 [T, D], in the motion space.
        pose: float32 [T, 6], likewise.
        mask: bool [T, 4], True where a part (`parts.PARTS`) of a frame is given.
    """

    expression: np.ndarray
    pose: np.ndarray
    mask: np.ndarray


@dataclass
class Tail:
    """The last frames generated before these, which a model continues without a seam.

    Args:
        expression: float32 [C, D], as a model's `sample` returned it.
        pose: float32 [C, 6], likewise.
        speech: float32 [C, S], the features of these frames as the speech encoder gives them, or normalised where the
            speech is (`Speech.streamed`).
    """

    expression: np.ndarray
    pose: np.ndarray
    speech: np.ndarray


@dataclass
class MotionSample:
    """What a model generates: coefficients in the motion space, or the vertices of a face.

    Args:
        expression: float32 [T, D], in the motion space (see `MotionSpace`); None where there are vertices.
        pose: float32 [T, 6], in the motion space; None keeps the head still.
        vertices: float32 [T, N, 3] in mm, the subject's face without head motion.
    """

    expression: np.ndarray | None = None
    pose: np.ndarray | None = None
    vertices: np.ndarray | None = None


class MotionModel(Protocol):
    """Speech features -> motion of a face.

    A model may inherit from this class for the values below, or define all of them.

    Attributes:
        space: the motion space in which the model works, with its face model.
        articulation: how far its subjects open their mouths and move their heads.
        fps: frames per second of the speech that it takes and of the motion that it generates.
        speech_features: S, the size of the features that it takes; 0 where it ignores speech.
        postprocessing: the steps that suit it.
        accepts: which of "style", "constraint" and "tail" it takes. One that takes no constraint can edit, too: what it
            generates freely is bent to what stays (`editing`).
        needs: which of them it requires.
        ignores: names of `SamplingOptions` that would change nothing.
        streaming: options of the sampler in a stream, where the caller leaves them to the model.
        editing: the same where frames are given: in one step, what is generated would never see them.
        unconditional: whether it has learned motion without speech, which idle faces then get.
        person_units: whether motion is learned in units of the person's own movement (`MotionSpace.encode_expression`),
            or persons' sizes stay (`MotionSpace.encode_unscaled`).
    """

    space: MotionSpace
    articulation: Articulation = Articulation()
    fps: float = 25.0
    speech_features: int = 0
    postprocessing: PostProcessing = PostProcessing()
    accepts: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    streaming: SamplingOptions = SamplingOptions()
    editing: SamplingOptions = SamplingOptions(steps=8)
    unconditional: bool = False
    person_units: bool = False

    def sample(
        self,
        speech: Speech,
        subject: Subject,
        *,
        style: Style | None = None,
        constraint: Known | None = None,
        tail: Tail | None = None,
        options: SamplingOptions = SamplingOptions(),
        generator: torch.Generator,
        progress: Callable[[int, int], None] | None = None,
    ) -> MotionSample:
        """Generate motion for a recording.

        Args:
            speech: at the model's frame rate.
            subject: whose face is to move.
            style: how the person speaks, where the model accepts it.
            constraint: frames that must stay, likewise. They replace the prediction at every step but the last
                (`shared.diffusion.sampling.sample`): what is returned of them is the model's own, from which the
                pipeline sees by how much the frames around them are off. With `options.guidance` 0 a model generates
                without any speech.
            tail: what went before, likewise.
            options: the two scales are applied afterwards, by the pipeline.
            generator: on the CPU; the same seed gives the same motion.
            progress: called with (frames done, frames in all).

        Returns:
            As many frames as the speech has.
        """
        ...
