"""Clips that a motion model generates anew, 3DiFACE's figures of them, and tables of settings with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from held_out_clips import HeldOut, held_out_clips, seed_of
from markdown_tables import print_head, print_row
from tqdm import tqdm

from fd2talk.evaluation.report.statistics import interval
from shared.face_model.morphable import MorphableModel
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.mesh import lip_dtw, lip_vertex_error, sample_diversity, vertex_error
from shared.motion import Motion
from shared.splits import is_development
from stage1_motion.editing.clip import Clip
from stage1_motion.interface import Constraint, SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES

FIGURES = ("Div^E", "Lip-Sync", "Lip-max", "L2-lip", "L2-face", "Div^E, still head")
"""In millimetres; see `shared.metrics.mesh`. Trackers let a part of the head's rotation leak into the expression, and
edits of tracked motion add it (`Clip.leaked`). The last figure is without it: how differently faces move, whatever
their heads do."""
COMPARED = ("Div^E, still head", "Lip-Sync", "Lip-max")
"""Those whose changes from row to row have columns."""


class KeptFeatures:
    """A `SpeechFrontend` that hears every recording once.

    Args:
        pipeline: whose frontend it becomes.
    """

    def __init__(self, pipeline: MotionPipeline) -> None:
        self._frontend, self._heard = pipeline.frontend, {}
        self.encoder = self._frontend.encoder
        pipeline.frontend = self

    def __call__(self, audio: np.ndarray):
        """See `SpeechFrontend`."""
        key = audio.tobytes()
        if key not in self._heard:
            self._heard[key] = self._frontend(audio)
        return self._heard[key]


@dataclass
class Setting:
    """A row of a table: how clips are generated.

    Args:
        name: in the first column.
        options: of the sampler.
        sound: clip -> what is heard instead of its sound, in all samples.
        kept: clip -> bool [T], the frames that stay, in all samples.
    """

    name: str
    options: SamplingOptions = SamplingOptions()
    sound: Callable[[HeldOut], np.ndarray] | None = None
    kept: Callable[[HeldOut], np.ndarray] | None = None


def people_clips(prepared: Path, report: bool, model: MorphableModel) -> list[HeldOut]:
    """The clips of `val`, or those of the development people, on whom settings may be chosen."""
    if report:
        return held_out_clips(prepared, "val", model)
    return held_out_clips(prepared, "train", model, is_development)


def own_sound(motion: Motion) -> np.ndarray:
    """A clip's sound, as long as its frames."""
    samples = round(len(motion) * SAMPLE_RATE / FPS)
    assert motion.audio is not None  # of clips with usable sound
    return np.pad(motion.audio, (0, max(0, samples - len(motion.audio))))[:samples]


def remade(
    pipeline: MotionPipeline, clip: HeldOut, setting: Setting, seeds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of a clip's expression [S, T, D], the part that follows the head, and what was generated, bool [T].

    Without rules.
    """
    kept = np.zeros(len(clip.motion), bool) if setting.kept is None else setting.kept(clip)
    sound = own_sound(clip.motion) if setting.sound is None else setting.sound(clip)
    made = [
        pipeline.edit(
            clip.motion,
            sound,
            Constraint(clip.motion, kept),
            seed=seed_of(clip.name, index),
            options=setting.options,
            postprocessing=NO_RULES,
        )
        for index in range(seeds)
    ]
    leaked = Clip.of(clip.motion, pipeline.model).leaked
    return np.stack([m.expression for m in made]), np.stack([leaked(m.rotation) for m in made]), ~kept


def figures(
    model: MorphableModel, motion: Motion, made: np.ndarray, leaked: np.ndarray, generated: np.ndarray
) -> list[float]:
    """`FIGURES` of samples of a motion, and Lip-max of the generated frames alone; arguments are those of `remade`."""
    lips, real = model.groups["lips"], model.vertices(motion.identity, motion.expression)
    samples = [model.vertices(motion.identity, expression) for expression in made]
    means = [
        np.mean([measure(sample, real) for sample in samples])
        for measure in (
            lambda a, b: lip_dtw(a, b, lips),
            lambda a, b: lip_vertex_error(a, b, lips),
            lambda a, b: vertex_error(a, b, lips),
            vertex_error,
        )
    ]
    apart = np.mean([lip_vertex_error(sample[generated], real[generated], lips) for sample in samples])
    varied, still = np.nan, np.nan
    if len(samples) > 1:
        varied = sample_diversity(np.stack(samples))
        still = sample_diversity(np.stack([model.vertices(motion.identity, sample) for sample in made - leaked]))
    return [varied, *map(float, means), still, float(apart)]


def measured(pipeline: MotionPipeline, clips: Sequence[HeldOut], setting: Setting, seeds: int) -> np.ndarray:
    """[C, 7]: `figures` of every clip."""
    return np.array(
        [
            figures(pipeline.face_model, clip.motion, *remade(pipeline, clip, setting, seeds))
            for clip in tqdm(clips, desc=setting.name, leave=False)
        ]
    )


class Table:
    """Rows are printed as they come: means over clips ± half of the 95 % interval, and paired changes of `COMPARED`.

    Args:
        title: above it.
        first: heading of the first column.
        apart: whether there is a column of generated frames alone.
    """

    def __init__(self, title: str, first: str, apart: bool = False) -> None:
        self._columns = [*FIGURES, *(["Lip-max, generated frames"] if apart else [])]
        self._rows: list[np.ndarray] = []
        against = [f"{name}, less {row}" for row in ("first row", "row above") for name in COMPARED]
        print_head([first, *self._columns, *against], title)

    def row(self, name: str, values: np.ndarray) -> None:
        """Print a row; values [C, K] are `measured`."""
        self._rows.append(values)
        cells = [with_interval(values[:, k], 3) for k in range(len(self._columns))]
        before = [self._rows[0], self._rows[-2]] if len(self._rows) > 1 else []
        changes = [values - other for other in before]
        cells += [with_interval(c[:, FIGURES.index(n)], 3, signed=True) for c in changes for n in COMPARED]
        print_row([name, *cells, *[""] * (len(COMPARED) * (2 - len(before)))])


def with_interval(values: np.ndarray, digits: int, signed: bool = False) -> str:
    """Mean ± half of its 95 % interval; empty without values."""
    if np.isnan(values).any():
        return ""
    mean, low, high = interval([float(value) for value in values])
    half = "" if high is None else f" ± {(high - low) / 2:.{digits}f}"
    return f"{mean:{'+' if signed else ''}.{digits}f}{half}"
