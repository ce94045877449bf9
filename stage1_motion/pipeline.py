"""Speech to Motion: encode, detect speech events, sample, decode the motion space, post-process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.device import require_device
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import resolve
from stage1_motion.checks import check_audio, check_request, is_real
from stage1_motion.decoding import decoded_expression, decoded_pose, eased_motion
from stage1_motion.editing.edit import edited
from stage1_motion.interface import Constraint, MotionModel, SamplingOptions, Subject, Tail
from stage1_motion.model_settings import read_settings
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.ease import ease_weights
from stage1_motion.postprocessing.eyes import eye_motion
from stage1_motion.registry import BUNDLED, PERSONALISED, model_module
from stage1_motion.speech_frontend import SpeechFrontend
from stage1_motion.streaming.silent import silent_motion
from stage1_motion.streaming.stream import MotionStream
from stage1_motion.style import Style


class MotionPipeline:
    """Speech -> Motion of the face in a photo.

    Build it with `from_pretrained`; one object may be called any number of times.

    Args:
        frontend: recording -> features and events.
        model: see `stage1_motion.interface`.
        name: of the model, for the motion's `source`.
        style: used where a call gives none.
        styles: folder of named styles, NAME.npz.
    """

    def __init__(
        self,
        frontend: SpeechFrontend,
        model: MotionModel,
        *,
        name: str = "",
        style: Style | None = None,
        styles: Path | None = None,
    ) -> None:
        if model.speech_features not in (0, frontend.encoder.size):
            raise InputError(
                f"the motion model was trained on {model.speech_features} speech features, "
                f"this encoder gives {frontend.encoder.size}"
            )
        self.frontend, self.model, self.name, self.style, self._styles = frontend, model, name, style, styles
        self.face_model = model.space.model

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path = "bundled",
        *,
        model: str | None = None,
        person: str | Path | None = None,
        device: str | torch.device = "cpu",
    ) -> MotionPipeline:
        """Load the bundled weights, or a folder's.

        Args:
            name_or_folder: the folder's ``model.yaml`` names the motion model (`model:`, see `registry`) and the speech
                encoder that it was trained on (`speech_encoder:`, `layer:`, see `SpeechFrontend.load`), and may name a
                file of a speaking style (`style:`).
            model: name of a bundled motion model, by default fd2talk; the model of a folder's weights must be this one.
            person: a folder of `fd2talk personalise`, for models that can be fine-tuned.
            device: where networks run.

        Raises:
            InputError: something is missing or does not belong together.
            UsageError: there is no such device, or `person` for a model that cannot be personalised.
        """
        if person is not None and not (str(person) and Path(person).is_dir()):
            raise InputError(f"{str(person)!r} is no folder, let alone one of `fd2talk personalise`")
        if model is None and person is not None and str(name_or_folder) == "bundled":
            model = PERSONALISED
        is_bundled = str(name_or_folder) == "bundled"
        if is_bundled and model is not None and model not in BUNDLED:
            raise UsageError(f"there are no bundled weights of {model!r}, only of {', '.join(BUNDLED)}")
        folder = resolve(name_or_folder, model or BUNDLED[0]) if is_bundled else Path(name_or_folder)
        device = require_device(device)
        settings = read_settings(folder)
        if model is not None and settings["model"] != model:
            raise UsageError(f"{folder} has weights of the motion model {settings['model']}, not of {model}")
        try:
            load = model_module(settings["model"]).load
        except (InputError, AttributeError) as error:
            raise InputError(f"{folder / 'model.yaml'}: {error}") from None
        frontend = SpeechFrontend.load(settings, folder, device)
        loaded = load(folder, load_bundled(), person=None if person is None else Path(person), device=device)
        known = getattr(loaded, "speech_encoder", None)
        if known not in (None, frontend.encoder.fingerprint):
            raise InputError(f"{person or folder}: the weights belong to another speech encoder")
        pipeline = cls(frontend, loaded, name=settings["model"], styles=folder / "styles")
        if settings.get("style"):
            pipeline.style = pipeline.load_style(folder / settings["style"])
        return pipeline

    @property
    def style_names(self) -> list[str]:
        """Names of the styles that belong to the weights."""
        return [] if self._styles is None else sorted(path.stem for path in self._styles.glob("*.npz"))

    def named_style(self, name: str) -> Style:
        """The style of that name. Raises UsageError: there is none."""
        if name not in self.style_names or self._styles is None:
            known = ", ".join(self.style_names) or "no named ones"
            raise UsageError(f"there is no style {name!r} (there are: {known})")
        return replace(self.load_style(self._styles / f"{name}.npz"), name=name)

    def load_style(self, path: str | Path) -> Style:
        """Read a style file. Raises InputError: it is none, or of another style encoder than the model's."""
        style, reader = Style.load(path), getattr(self.model, "style_reader", None)
        if reader is not None:
            try:
                reader.check(style)
            except UsageError as error:
                raise InputError(f"{path}: {error}") from None
        return style

    def style_of(self, motion: Motion, source: str = "", terms: str = "") -> Style:
        """Read the speaking style of a motion.

        Args:
            motion: tracked or generated; at least a second of it must show a face (`Motion.confidence`).
            source: what it was made from, for the style's card.
            terms: under which it may be used, likewise.

        Raises:
            UsageError: the model takes no style.
            InputError: the motion is too short, or of another face model.
        """
        reader = getattr(self.model, "style_reader", None)
        if reader is None:
            raise UsageError(f"the motion model {self.name} takes no style")
        return Style(reader(motion), reader.fingerprint, source, terms)

    def __call__(
        self,
        audio: np.ndarray,
        *,
        photo: PhotoFit | None = None,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),
        postprocessing: PostProcessing = PostProcessing(),
        still: bool = False,
        style: Style | None = None,
        tail: Tail | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """Generate the motion for a recording.

        Args:
            audio: float32 [n], mono, 16 kHz.
            photo: whose face moves; without one the mean face. The photo's head pose and expression are the means
                about which head and face move; the mouth's own opening in the photo is taken out.
            seed: the same seed gives the same motion.
            options: of the sampler.
            postprocessing: which rules run, by default all; rules that the model disables stay off.
            still: no head motion.
            style: how the person speaks, for models that take it (`MotionModel.accepts`).
            tail: what was generated before and is to be continued, likewise.
            progress: called with (frames done, frames in all).

        Returns:
            `frame_count(n)` frames at 25 per second.

        Raises:
            InputError: the audio is not such an array.
            UsageError: options out of range, a conditioning that the model does not take, or one that it needs.
        """
        options = replace(options, pose_scale=0.0) if still else options
        check_audio(audio)
        style = self.style if style is None else style
        self._check(seed, options, {"style": style, "tail": tail})
        heard, subject = self.frontend(audio), Subject.of(photo, self.face_model)
        if not heard.events.speaks.any():
            warnings.warn("nothing is spoken in the recording, so that the mouth rests", stacklevel=2)
        speech = heard.at(self.model.fps)
        sample = self.model.sample(
            speech,
            subject,
            style=style,
            tail=tail,
            options=options,
            generator=torch.Generator().manual_seed(int(seed)),
            progress=progress,
        )
        rules = self.model.postprocessing & postprocessing
        expression = decoded_expression(self.model, sample, speech.events, subject, options, rules)
        rotation, translation = decoded_pose(self.model, sample, subject, options, len(speech))
        if self.model.fps != FPS:
            fingerprint = self.face_model.fingerprint
            resampled = Motion(expression, rotation, translation, fingerprint, fps=self.model.fps).resample(FPS)
            at = np.minimum(np.arange(frame_count(len(audio))), len(resampled) - 1)
            expression, rotation = resampled.expression[at], resampled.rotation[at]
            translation = resampled.translation[at]
        random = np.random.default_rng(seed)
        eyes = eye_motion(
            self.face_model, len(expression), subject.lid_gap, random, rules.blinks, rules.gaze, options.blink_rate
        )
        weights = ease_weights(heard.events.speaks) if rules.ease and tail is None else None
        source = self._source(seed, options, style)
        return eased_motion(
            self.face_model, expression + eyes, rotation, translation, subject, weights, audio=audio, source=source
        )

    def edit(
        self,
        motion: Motion,
        speech: np.ndarray | None = None,
        constraint: Constraint | None = None,
        *,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),
        postprocessing: PostProcessing = PostProcessing(),
        style: Style | None = None,
        unconditional: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """Generate parts of a motion anew; see `stage1_motion.editing` for what may stay and how.

        Args:
            motion: tracked or generated, at 25 frames per second: whose face and head, and what they move about.
            speech: float32 [n], mono, 16 kHz, not shorter than the motion; None: the motion's own sound. Frames beyond
                the motion are generated.
            constraint: what stays; None: everything is generated anew. Where all stays, nothing is generated.
            seed: the same seed gives the same motion.
            options: of the sampler; what is left open is the model's choice for edits (`MotionModel.editing`). The
                three scales act on what is generated.
            postprocessing: which rules run, on what is generated.
            style: how the person speaks, for models that take it; None: as in the motion.
            unconditional: generate without speech; the sound is kept.
            progress: called with (frames done, frames in all).

        Returns:
            `frame_count(n)` frames. Frames that stay as a whole are those of the constraint, bit by bit; so is the
            head, and so are the expressions of frames of which lips, upper face and eyes stay. Single parts of a face
            stay as closely as the face model can (docs/editing.md).

        Raises:
            InputError: the motion is of another face model, or has no sound; the audio is not such an array.
            UsageError: options out of range, a conditioning that the model does not take, or a constraint that is
                longer than the speech.
        """
        return edited(
            self,
            motion,
            speech,
            constraint,
            seed=seed,
            options=options,
            postprocessing=postprocessing,
            style=style,
            unconditional=unconditional,
            progress=progress,
        )

    def stream(
        self,
        photo: PhotoFit | None = None,
        *,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),
        postprocessing: PostProcessing = PostProcessing(),
        still: bool = False,
        style: Style | None = None,
    ) -> MotionStream:
        """Begin the motion for speech that is still arriving: see `MotionStream`.

        Args:
            photo: whose face moves, as in `__call__`.
            seed: likewise.
            options: likewise; what is left open is the model's choice for streams (`MotionModel.streaming`).
            postprocessing: likewise; the return to the photo at the end is left out, and with `rest` the head breathes
                in pauses.
            still: likewise.
            style: likewise.

        Raises:
            UsageError: as there, or the model or an option needs the whole recording.
        """
        options = replace(options, pose_scale=0.0) if still else options
        style = self.style if style is None else style
        self._check(seed, options, {"style": style})
        if "tail" not in self.model.accepts or self.model.fps != FPS:
            raise UsageError(f"the motion model {self.name} cannot generate motion while the speech arrives")
        if options.articulation != 1:
            raise UsageError("articulation is for whole recordings, not for streams and idle faces")
        rules = self.model.postprocessing & postprocessing
        subject = Subject.of(photo, self.face_model)
        return MotionStream(self, subject, seed=seed, options=options, rules=rules, style=style)

    def idle(self, seconds: float, photo: PhotoFit | None = None, **options: Any) -> Motion:
        """Motion without speech: closed mouth, blinks, breathing, small movements of the head; its sound is silence.

        Args:
            seconds: duration; the frames that it covers are generated.
            photo: whose face moves, as in `__call__`.
            options: further arguments of `stream`; `progress`, called with (frames done, frames in all).

        Raises:
            UsageError: as of `stream`, or a duration out of range.
        """
        if not (is_real(seconds) and 0 < seconds <= 3600):
            raise UsageError(f"a face idles for more than 0 and at most 3600 seconds, not {seconds}")
        return silent_motion(self, round(float(seconds) * SAMPLE_RATE), None, photo, **options)

    def listen(self, heard: np.ndarray, photo: PhotoFit | None = None, **options: Any) -> Motion:
        """Motion of a face that listens to another speaker (`MotionStream.listen`); its sound is what it hears.

        Args:
            heard: float32 [n], mono, 16 kHz.
            photo: whose face moves, as in `__call__`.
            options: as of `idle`.

        Raises:
            InputError: the sound is not such an array.
            UsageError: as of `stream`.
        """
        check_audio(heard)
        return replace(silent_motion(self, len(heard), heard.astype(np.float32), photo, **options), audio=heard)

    def _check(self, seed: int, options: SamplingOptions, conditioning: dict[str, Any]) -> None:
        check_request(self.model, self.name, seed, options, conditioning)

    def _source(self, seed: int, options: SamplingOptions, style: Style | None) -> str:
        """Which model made a motion, and how."""
        named = [] if style is None else [f"style {style.name or style.source or 'without a name'}"]
        changed = [f"{key} {value}" for key, value in vars(options).items() if value != getattr(SamplingOptions, key)]
        return ", ".join([self.name or type(self.model).__name__, f"seed {seed}", *changed, *named])
