"""Measurement of an ablation's variant: the motion of every clip of a split, and a few frames of every person.

Rendering and tracking whole clips, as `fd2talk evaluate` does, would take longer than the ablation's trainings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fd2talk.evaluation.inputs.clip_reader import take_frames
from fd2talk.evaluation.metrics.lip_expert_metric import LipExpertMetric, lip_expert_scores
from fd2talk.evaluation.metrics.motion_metrics import MotionPair, motion_scores
from fd2talk.evaluation.report.statistics import mean_over_people
from fd2talk.evaluation.settings import Settings
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.media import frame_count
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

# Rendered frames of a person's clip: their number, the first one, and the smallest height of the face in pixels.
_FRAMES, _FIRST, _LEAST_FACE = 3, 5, 110
# Names of `compare` -> keys of the catalogue.
_IMAGE = {
    "psnr": "psnr",
    "ssim": "ssim",
    "distance": "squeeze_distance",
    "mouth_psnr": "psnr_mouth",
    "mouth_ssim": "ssim_mouth",
    "mouth_distance": "squeeze_distance_mouth",
}
_IMAGE_KEYS = {key + end for key in _IMAGE.values() for end in ("", "_driven")}


class ClipMeasure:
    """Measures a folder of weights: mean over people of each metric's mean over their clips.

    The photo is a clip's first frame, the speech its own.

    Args:
        clips: folder of the real clips.
        prepared: their prepared data set.
        squeezenet: weights of `SqueezeDistance`.
        split: the split to measure.
        beat_sigma: width of a beat's neighbourhood in seconds.

    Raises:
        InputError: there are no clips of the split.
    """

    def __init__(
        self, clips: str | Path, prepared: str | Path, squeezenet: str | Path, split: str, beat_sigma: float
    ) -> None:
        self.folder, self.prepared = Path(clips), Path(prepared)
        self.settings = Settings(beat_sigma=beat_sigma, resampled=True)
        self.network, self.model = SqueezeDistance(squeezenet), load_bundled()
        self.lip_expert = LipExpertMetric()
        self.rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] == "ok"]
        if not self.rows:
            raise InputError(f"{prepared}: no clips of split {split} with sound")
        self.real = load_motions(prepared, self.rows, self.model)
        self._driven: dict[tuple[str, str], dict[str, float]] = {}

    def __call__(self, weights: Path, seed: int, wanted: Collection[str]) -> dict[str, float]:
        """Measure a folder of weights.

        Args:
            weights: of both stages, with the second lip expert.
            seed: random seed of the motion.
            wanted: keys of `ablation.file.METRICS`.

        Returns:
            Metric -> value, of the wanted metrics that could be measured.
        """
        speech_to_motion, renderer = MotionPipeline.from_pretrained(weights), RenderPipeline.from_pretrained(weights)
        unet = weights / "renderer" / "unet.safetensors"
        renderer_digest = sha256(unet) if unet.exists() else "bundled"
        experts = {
            "lip_expert": self.lip_expert.expert,
            "second_expert": LipExpert.load(weights / "lip_expert.safetensors"),
        }
        values: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for row in tqdm(self.rows, desc=str(weights), leave=False):
            name, person = row["name"], row["person"]
            real, photo = self.real[name], self._photos[name]
            motion = speech_to_motion(real.audio, photo=photo, seed=seed)
            pair = MotionPair(motion, real, self.model, self.settings)
            scores = motion_scores(pair, pair.generated.audio, (), wanted)
            scores |= self._lip_scores(motion, self._speech[name], experts)
            if not _IMAGE_KEYS.isdisjoint(wanted) and name in self._frames:
                scores |= self._image_scores(name, photo, motion, renderer, renderer_digest)
            for key, value in scores.items():
                if key in wanted and np.isfinite(value):
                    values[key].append((person, value))
        return {key: float(np.mean(list(mean_over_people(of_key).values()))) for key, of_key in values.items()}

    @cached_property
    def _photos(self) -> dict[str, PhotoFit]:
        """Clip -> its first frame, fitted."""
        first = {row["name"]: next(clip_frames(self.folder, row)) for row in self.rows}
        return {name: PhotoFit.fit(frame, self.model) for name, frame in tqdm(first.items(), "photos", leave=False)}

    @cached_property
    def _speech(self) -> dict[str, np.ndarray]:
        """Clip -> input features of a lip expert [T, S]."""
        motions = tqdm(self.real.items(), "speech", leave=False)
        return {name: self.lip_expert.encode(motion.audio) for name, motion in motions}

    @cached_property
    def _frames(self) -> dict[str, tuple[np.ndarray, list[np.ndarray], Track]]:
        """Each person's first suitable clip -> numbers of frames [n], these frames, the clip's track."""
        suitable = [row for row in self.rows if int(row["face_px"]) >= _LEAST_FACE]
        chosen = {}
        for row in {row["person"]: row for row in reversed(suitable)}.values():
            frames = list(clip_frames(self.folder, row))
            track = load_track(self.prepared / "tracks" / f"{row['name']}.npz")
            real = self.real[row["name"]]
            last = min(len(frames), len(track.landmarks), len(real), frame_count(len(real.audio))) - 1
            numbers = np.linspace(_FIRST, last, _FRAMES).astype(int)
            chosen[row["name"]] = (numbers, [frames[i] for i in numbers], track)
        return chosen

    def _lip_scores(self, motion: Motion, features: np.ndarray, experts: dict[str, LipExpert]) -> dict[str, float]:
        """Confidence and distance of each expert; nothing for a clip that is too short."""
        scores = {}
        for name, expert in experts.items():
            try:
                found = lip_expert_scores(expert, self.lip_expert.pipeline.model.space, motion, features)
            except InputError:
                return {}
            scores |= {f"{name}_confidence": found.confidence, f"{name}_distance": found.distance}
        return scores

    def _image_scores(
        self, name: str, photo: PhotoFit, generated: Motion, renderer: RenderPipeline, renderer_digest: str
    ) -> dict[str, float]:
        """Scores of frames with the generated motion and, as `..._driven`, with the real clip's."""
        scores = self._compare(name, photo, generated, renderer)
        key = name, renderer_digest
        if key not in self._driven:  # several variants have the same renderer
            real = self.real[name]
            own = photo_of_clip(photo.image, self._frames[name][2], real, self.model)
            self._driven[key] = self._compare(name, own, real, renderer)
        return scores | {f"{metric}_driven": value for metric, value in self._driven[key].items()}

    def _compare(self, name: str, photo: PhotoFit, motion: Motion, renderer: RenderPipeline) -> dict[str, float]:
        """Means over the clip's chosen frames."""
        numbers, targets, track = self._frames[name]
        frames = renderer(photo, take_frames(motion, numbers), relative=False, max_size=max(photo.image.shape[:2]))
        scores = defaultdict(list)
        for frame, target, points in zip(frames, targets, track.landmarks[numbers]):
            height, width = frame.shape[:2]  # even; an odd last row or column of the target does not count
            boxes = {"mouth": part_boxes(points, (height, width))["mouth"]}
            for key, value in compare(frame, target[:height, :width], boxes, self.network).items():
                scores[_IMAGE[key]].append(value)
        return {key: float(np.mean(of_key)) for key, of_key in scores.items()}
