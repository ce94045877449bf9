"""Settings of a training of DiffPoseTalk's denoiser; `denoiser_training` has what it learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from shared.checkpoint import described_as, load_checkpoint
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.schema import Arguments
from shared.shards.reader import is_sharded
from shared.speech.encoder import SpeechEncoder
from stage1_motion.dataset import ClipsConfig, load_clips
from stage1_motion.losses.geometric import GeometricWeights
from stage1_motion.models.diffposetalk.denoiser_training import DiffPoseTalkTask
from stage1_motion.models.diffposetalk.model import KIND, Sampler
from stage1_motion.models.diffposetalk.network import DenoiserConfig
from stage1_motion.style.encoder import StyleReader
from stage1_motion.training.clips import Clip, all_at_rate, learned_and_development, people_of
from stage1_motion.training.sharded_clips import open_clips


@dataclass(frozen=True, kw_only=True)
class Config(ClipsConfig):
    """`model: diffposetalk` of `fd2talk train`.

    Args:
        train_speech_encoder: whether the encoder's transformer learns too, its stem resampled to 25 Hz before it
            (§3.1); `layer`, `speech_events` and `loss.speech_noise` are not used then.
        style_encoder: file of the frozen style encoder; None: the network takes no style.
        one_hot: the style is the number of a training person instead (A.6).
        head: whether the head moves.
        fps: frames per second of motion and speech.
        shape: whether beta is a condition.
        start: weights of a denoiser to start from.
        network: sizes of `DenoiserConfig`.
        losses: lambdas of the geometric losses; None: L_simple alone.
        loss: settings of `DiffPoseTalkTask`.
        sampler: see `Sampler`.
    """

    train_speech_encoder: bool = False
    style_encoder: str | None = None
    one_hot: bool = False
    head: bool = True
    fps: float = 25.0
    shape: bool = True
    start: str | None = None
    network: Annotated[
        dict[str, Any], Arguments(DenoiserConfig, ("coefficients", "speech_features", "identity", "style", "people"))
    ] = field(default_factory=dict)
    losses: GeometricWeights | None = None
    loss: Annotated[
        dict[str, Any], Arguments(DiffPoseTalkTask, ("clips", "space", "config", "style", "weights", "sampler"))
    ] = field(default_factory=dict)
    sampler: Sampler = field(default_factory=Sampler)

    @property
    def needs_features(self) -> bool:
        """See `ClipsConfig`."""
        return not self.train_speech_encoder


def build_task(config: Config) -> DiffPoseTalkTask:
    """Build the task of a config. Raises InputError: a file is missing."""
    task: Callable[..., DiffPoseTalkTask] = DiffPoseTalkTask
    clips: Sequence[Clip]
    if config.train_speech_encoder:
        from stage1_motion.models.diffposetalk.speech_training import SpeechAndDenoiserTask, without_features

        encoder = SpeechEncoder.from_pretrained(config.speech_encoder, resample="stem")
        if is_sharded(config.prepared):
            clips = sharded = open_clips(config.prepared, load_bundled(), None, "train")
            space = sharded.space
        else:
            clips, space = load_clips(config.prepared, load_bundled(), without_features, split="train")
        features, task = encoder.size, partial(SpeechAndDenoiserTask, encoder=encoder)
    else:
        clips, space = config.load("train")
        features = clips[0].speech.shape[1]
    if config.one_hot and config.style_encoder:
        raise InputError("`one_hot` and `style_encoder` exclude each other")
    clips = all_at_rate(clips, config.fps)
    style = None if config.style_encoder is None else StyleReader.load(config.style_encoder, space.model)
    people = len(people_of(learned_and_development(clips)[0])) if config.one_hot else 0
    network = DenoiserConfig(
        coefficients=space.model.num_expression + 6 * config.head,
        speech_features=features,
        identity=space.model.num_identity if config.shape else 0,
        style=people if style is None else style.encoder.config.size,
        people=people,
        **config.network,
    )
    made = task(clips, space, network, style, weights=config.losses, sampler=config.sampler, **config.loss)
    if config.start is not None:
        tensors, _ = load_checkpoint(config.start, KIND)
        with described_as(config.start, KIND):
            made.denoiser(made.model).load_state_dict(tensors)
    return made
