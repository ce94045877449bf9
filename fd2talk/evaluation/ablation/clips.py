"""What an ablation measures of a pair of stages: the motion of every clip of a split, a few pictures of every person.

Rendering and tracking whole clips, as `fd2talk evaluate` does, would take longer than the ablation's trainings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fd2talk.evaluation.metrics.lip_judge import LipJudge, lip_scores
from fd2talk.evaluation.report.statistics import mean_over_people
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_aperture
from shared.media import FPS, frame_count
from shared.metrics.beats import audio_beats, beat_align
from shared.metrics.head import head_diversity, motion_beats
from shared.metrics.lips import best_lag_correlation, spread_and_speed
from shared.metrics.perceptual import SqueezeDistance
from shared.metrics.rendering import compare, part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_motions, load_track, read_index
from shared.tracking import Track, photo_of_clip
from shared.weights import sha256
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

# Of the clip of a person that pictures are made of: how many, from which frame on; least height of a face in pixels.
_PICTURES, _FIRST, _FACE = 3, 5, 110
# `compare`'s names -> the catalogue's.
_IMAGE = {
    "psnr": "psnr",
    "ssim": "ssim",
    "distance": "squeeze_distance",
    "mouth_psnr": "psnr_mouth",
    "mouth_ssim": "ssim_mouth",
    "mouth_distance": "squeeze_distance_mouth",
}


_PICTURE_KEYS = {key + end for key in _IMAGE.values() for end in ("", "_driven")}
_CURVES = ("expression", "rotation", "translation")


class ClipMeasure:
    """Call it with a folder of weights and a seed: mean over people of each metric's mean over their clips.

    clips: folder of the real clips; prepared: what `fd2talk prepare` made of them; squeezenet: weights of
    `SqueezeDistance`; beat_sigma: seconds. The photo is a clip's first frame, the speech its own.
    Raises InputError: nothing of the split.
    """

    def __init__(
        self, clips: str | Path, prepared: str | Path, squeezenet: str | Path, split: str, beat_sigma: float
    ) -> None:
        self.folder, self.prepared, self.beat_sigma = Path(clips), Path(prepared), beat_sigma
        self.network, self.model = SqueezeDistance(squeezenet), load_bundled()
        self.judge = LipJudge()
        self.rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] == "ok"]
        if not self.rows:
            raise InputError(f"{prepared}: no clips of split {split} with sound")
        self.real = load_motions(prepared, self.rows, self.model)
        self._driven: dict[tuple[str, str], dict[str, float]] = {}

    def __call__(self, weights: Path, seed: int, wanted: Collection[str]) -> dict[str, float]:
        """Those of `ablation.METRICS` that are wanted and can be had; the second expert is the weights' own."""
        speak, paint = MotionPipeline.from_pretrained(weights), RenderPipeline.from_pretrained(weights)
        unet = weights / "renderer" / "unet.safetensors"
        painter = sha256(unet) if unet.exists() else "bundled"
        experts = {
            "lip_expert": self.judge.expert,
            "second_expert": LipExpert.load(weights / "lip_expert.safetensors"),
        }
        values: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for row in tqdm(self.rows, desc=str(weights), leave=False):
            real, photo = self.real[row["name"]], self._photos[row["name"]]
            motion = speak(real.audio, photo=photo, seed=seed)
            found = self._of_motion(motion, real) | self._of_lips(motion, self._speech[row["name"]], experts)
            if not _PICTURE_KEYS.isdisjoint(wanted) and row["name"] in self._pictures:
                found |= self._of_pictures(row["name"], photo, motion, paint, painter)
            for key, value in found.items():
                if key in wanted and np.isfinite(value):
                    values[key].append((row["person"], value))
        return {key: float(np.mean(list(mean_over_people(of_key).values()))) for key, of_key in values.items()}

    @cached_property
    def _photos(self) -> dict[str, PhotoFit]:
        """Clip -> its first frame, fitted."""
        first = {row["name"]: next(clip_frames(self.folder, row)) for row in self.rows}
        return {name: PhotoFit.fit(frame, self.model) for name, frame in tqdm(first.items(), "photos", leave=False)}

    @cached_property
    def _speech(self) -> dict[str, np.ndarray]:
        """Clip -> what a lip expert hears [T, S]."""
        return {name: self.judge.hear(motion.audio) for name, motion in tqdm(self.real.items(), "speech", leave=False)}

    @cached_property
    def _pictures(self) -> dict[str, tuple[np.ndarray, list[np.ndarray], Track]]:
        """Of each person the first clip that will do -> numbers of frames [n], those frames, its track."""
        good = [row for row in self.rows if int(row["face_px"]) >= _FACE]
        chosen = {}
        for row in {row["person"]: row for row in reversed(good)}.values():
            frames = list(clip_frames(self.folder, row))
            track = load_track(self.prepared / "tracks" / f"{row['name']}.npz")
            real = self.real[row["name"]]
            last = min(len(frames), len(track.landmarks), len(real), frame_count(len(real.audio))) - 1
            picks = np.linspace(_FIRST, last, _PICTURES).astype(int)
            chosen[row["name"]] = (picks, [frames[i] for i in picks], track)
        return chosen

    def _of_motion(self, made: Motion, real: Motion) -> dict[str, float]:
        frames = min(len(made), len(real))
        made, real = made.slice(0, frames), real.slice(0, frames)
        curves = [lip_aperture(self.model.vertices(motion.identity, motion.expression)) for motion in (made, real)]
        spread, speed = spread_and_speed(*curves)
        beats, diversity = motion_beats(made.rotation, FPS), head_diversity(made.rotation)
        return {
            "aperture_correlation": best_lag_correlation(*curves)[0],
            "aperture_spread": spread,
            "aperture_speed": speed,
            "head_diversity": diversity,
            "head_spread": diversity / max(head_diversity(real.rotation), 1e-6),
            "beat_align_audio": beat_align(audio_beats(made.audio), beats, self.beat_sigma),
            "beat_align_real": beat_align(motion_beats(real.rotation, FPS), beats, self.beat_sigma),
        }

    def _of_lips(self, motion: Motion, heard: np.ndarray, experts: dict[str, LipExpert]) -> dict[str, float]:
        """Each expert's confidence and distance; none for a clip that is too short."""
        found = {}
        for name, expert in experts.items():
            try:
                scores = lip_scores(expert, self.judge.pipeline.model.space, motion, heard)
            except InputError:
                return {}
            found |= {f"{name}_confidence": scores.confidence, f"{name}_distance": scores.distance}
        return found

    def _of_pictures(
        self, name: str, photo: PhotoFit, made: Motion, renderer: RenderPipeline, weights: str
    ) -> dict[str, float]:
        """Figures of frames with the made motion and, as `..._driven`, with the real clip's."""
        figures = self._compared(name, photo, made, renderer)
        if (name, weights) not in self._driven:  # the motion models of several variants share a renderer
            real = self.real[name]
            own = photo_of_clip(photo.image, self._pictures[name][2], real, self.model)
            self._driven[name, weights] = self._compared(name, own, real, renderer)
        return figures | {f"{key}_driven": value for key, value in self._driven[name, weights].items()}

    def _compared(self, name: str, photo: PhotoFit, motion: Motion, renderer: RenderPipeline) -> dict[str, float]:
        """Means over the frames picked from the clip."""
        picks, frames, track = self._pictures[name]
        few = replace(motion, audio=None, confidence=None, **{key: getattr(motion, key)[picks] for key in _CURVES})
        pictures = renderer(photo, few, relative=False, max_size=max(photo.image.shape[:2]))
        figures = defaultdict(list)
        for made, real, points in zip(pictures, frames, track.landmarks[picks]):
            height, width = made.shape[:2]  # even; a real one's odd last row or column does not count
            boxes = {"mouth": part_boxes(points, (height, width))["mouth"]}
            for key, value in compare(made, real[:height, :width], boxes, self.network).items():
                figures[_IMAGE[key]].append(value)
        return {key: float(np.mean(of_key)) for key, of_key in figures.items()}
