"""How pairs of frames come to be: from a person's clips, and from still photos. See `pairs` for what they are."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared.errors import InputError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import canonical, project, rigid_fit
from shared.face_model.measures import lid_gap, lip_aperture
from shared.face_model.mediapipe_mesh import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from shared.faces.crop import Crop
from shared.media import read_image
from shared.metrics.rendering import APERTURE_STEP
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_track
from stage2_render.diffusion.conditioning_maps import MAP_SIZE, MAPS, encode_maps, guidance_maps
from stage2_render.diffusion.face_crop import SIZE, FaceCrop
from stage2_render.warp.mesh_warp import MeshWarp

# How often each kind of pair is wanted.
_SHARES = {"opened": 0.4, "closed": 0.17, "same": 0.3, "blinked": 0.13}
_PORTRAIT_SHARES = (0.7, 0.15, 0.15)
# A mesh that strays more than this from the tracked points (mean, pixels of a 256 px head crop) is a failed fit.
_MAX_ERROR = 4.0
_MAX_YAW = np.deg2rad(30.0)
# Between neighbouring frames: mean motion of the points (pixels at 256), and change of the picture (grey levels). More
# is a cut or a cross-fade.
_MAX_STEP, _MAX_CHANGE = 8.0, 14.0
# What differs more than this (mean grey levels of the crop at 32 x 32) differs by more than motion: light, a hand.
_MAX_DIFFERENCE = 22.0
# Eyes at this share of their usual opening, or above, are open; and below this share of the reference's, shut.
_OPEN, _SHUT = 0.8, 0.5
# References of one person.
_REFERENCES = 7

# Files of a split, without their ending, and the shape of a row of each.
FILES = {
    "warped": (SIZE, SIZE, 3),
    "target": (SIZE, SIZE, 3),
    "maps": (len(MAPS), MAP_SIZE, MAP_SIZE),
    "reference": (SIZE, SIZE, 3),
    "heads": (SIZE, SIZE, 3),
}


class Rows:
    """What one job gives: rows of the files and of the facts. References count from the job's first."""

    def __init__(self) -> None:
        self.files: dict[str, list[np.ndarray]] = {name: [] for name in FILES}
        self.facts: dict[str, list] = {}

    def add(self, reference: int, person: str, kind: str, coefficients: np.ndarray, made: _Made) -> None:
        """Add one pair; its reference image is added by whoever knows whether it is a new one."""
        for name, value in (("warped", made.warped), ("target", made.target), ("maps", made.maps)):
            self.files[name].append(value)
        values = {
            "reference": reference,
            "coefficients": coefficients,
            "boxes": made.boxes,
            "person": person,
            "kind": kind,
            "opened": made.opened,
            "shut": made.shut,
        }
        for name, value in values.items():
            self.facts.setdefault(name, []).append(value)


@dataclass(frozen=True)
class _Made:
    warped: np.ndarray
    target: np.ndarray
    maps: np.ndarray
    boxes: np.ndarray
    opened: np.float32
    shut: bool


def _make(
    warp: MeshWarp,
    source: np.ndarray,
    target: np.ndarray,
    target_frame: np.ndarray,
    source_crop: FaceCrop,
    crop: FaceCrop,
    shut: bool,
) -> _Made | None:
    """One pair, or None when the frames differ by more than motion. shut: does the face shut its eyes?"""
    warped = warp.warp(target)
    ours, true = crop.take(warped.frame), crop.take(target_frame)
    small = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) for image in (ours, true)]
    if np.abs(small[0] - small[1]).mean() > _MAX_DIFFERENCE:
        return None
    maps = encode_maps(guidance_maps(warped, target, source, crop, source_crop))
    opened = np.float32(lip_aperture(target) - lip_aperture(source))
    return _Made(ours, true, maps, feature_boxes(crop.points(target)), opened, bool(shut))


def feature_boxes(points: np.ndarray) -> np.ndarray:
    """Mesh [478, 2] in crop pixels -> float32 [3, 4]: x0, y0, x1, y1 of mouth, right and left eye, a quarter of their
    width around, within the crop."""
    boxes = []
    for ring in (OUTER_LIPS, RIGHT_EYE, LEFT_EYE):
        low, high = points[list(ring)].min(0), points[list(ring)].max(0)
        margin = 0.25 * (high[0] - low[0])
        boxes.append(np.clip([*(low - margin), *(high + margin)], 0, SIZE))
    return np.array(boxes, np.float32)


@dataclass
class _Clip:
    """A clip with all that is known of it. shot: int [T], which uninterrupted take a frame belongs to, -1 for none."""

    frames: list[np.ndarray]
    landmarks: np.ndarray
    motion: Motion
    crop: Crop
    aperture: np.ndarray
    lids: np.ndarray
    shot: np.ndarray

    @classmethod
    def load(cls, prepared: Path, clips: Path, row: dict) -> _Clip:
        motion = Motion.load(prepared / "motions" / f"{row['name']}.npz")
        track = load_track(prepared / "tracks" / f"{row['name']}.npz")
        landmarks, confidence, crop = track.landmarks, track.confidence, track.crop
        frames = list(clip_frames(clips, row))
        count = min(len(frames), len(motion))
        unit = max(frames[0].shape[:2]) / 256
        step = np.linalg.norm(np.diff(landmarks[:count, :468, :2], axis=0), axis=-1).mean(-1) / unit
        small = [cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) for frame in frames]
        change = np.array([np.abs(a - b).mean() for a, b in zip(small[:-1], small[1:])])[: count - 1]
        cut = (step > _MAX_STEP) | (change > _MAX_CHANGE)
        shot = np.concatenate([[0], np.cumsum(cut)])
        # Filtered motion is smeared round a cut.
        near = np.convolve(np.concatenate([[0], cut, [0]]), np.ones(8), "same")
        shot[(near[:count] > 0.5) | (confidence[:count] == 0)] = -1
        landmarks = landmarks[:count]
        return cls(frames, landmarks, motion, crop, lip_aperture(landmarks), -lid_gap(landmarks), shot)

    def pose_distance(self, index: int) -> np.ndarray:
        """[T]: how far in pose the frames are from one of them."""
        turn = np.linalg.norm(self.motion.rotation - self.motion.rotation[index], axis=1)
        shift = np.linalg.norm(self.motion.translation - self.motion.translation[index], axis=1)
        return (turn + 0.5 * shift)[: len(self.shot)]


class _Reference:
    """A frame of a clip to animate; its warp is made when it is first needed.

    meshes: float32 [T, 478, 3], the frame's own mesh under the motion of each frame, as `PhotoFit.vertices_px` does it.
    left: for each kind of pair bool [T], the frames that may still be chosen as its target.
    """

    def __init__(self, clip: _Clip, index: int, model: MorphableModel, framing: str) -> None:
        self.clip, self.index, self.row = clip, index, -1
        self.vertices = clip.landmarks[index]
        self.crop = FaceCrop.framed(framing, self.vertices, clip.crop)
        motion, rigid = clip.motion, model.groups["rigid"]
        points = clip.crop.to_crop(self.vertices)
        shape = model.vertices(motion.identity, motion.expression)[: len(clip.shot)]
        pose = motion.rotation[: len(clip.shot)], motion.translation[: len(clip.shot)]
        # The depth of the head as a whole is no part of its shape.
        depth = rigid_fit(shape[index][rigid], points[rigid])[2]
        residual = canonical(points, pose[0][index], pose[1][index], depth) - shape[index]
        self.meshes = clip.crop.to_pixels(project(shape + residual, *pose))
        # `project` leaves the depth out; with it the reference is met exactly.
        self.meshes += self.vertices - self.meshes[index]
        unit = max(clip.frames[0].shape[:2]) / 256
        error = np.linalg.norm((self.meshes - clip.landmarks)[:, :468, :2], axis=-1).mean(-1) / unit
        turned = np.abs(motion.rotation[: len(error), 1] - motion.rotation[index, 1])
        usable = (error < _MAX_ERROR) & (turned < _MAX_YAW) & (clip.shot == clip.shot[index])
        usable[index] = False
        gain = clip.aperture - clip.aperture[index]
        self.left = {
            "opened": usable & (gain > APERTURE_STEP),
            "closed": usable & (gain < -APERTURE_STEP),
            "same": usable & (np.abs(gain) <= APERTURE_STEP),
            "blinked": usable
            & (clip.lids < _SHUT * clip.lids[index])
            & (clip.lids[index] > _OPEN * np.median(clip.lids)),
        }
        self.distance = clip.pose_distance(index)
        self._warp: MeshWarp | None = None

    @property
    def warp(self) -> MeshWarp:
        if self._warp is None:
            self._warp = MeshWarp(self.clip.frames[self.index], self.vertices, Crop.around(self.vertices))
        return self._warp

    def pick(self, kind: str, random: np.random.Generator) -> int | None:
        """A frame of this kind that was not taken yet: of a few at random the farthest in pose."""
        candidates = np.flatnonzero(self.left[kind])
        if not len(candidates):
            return None
        few = random.choice(candidates, min(4, len(candidates)), replace=False)
        chosen = int(few[self.distance[few].argmax()])
        # Its neighbours look alike.
        self.left[kind][max(chosen - 1, 0) : chosen + 2] = False
        return chosen


def person_pairs(
    prepared: Path,
    clips: Path,
    person: str,
    rows: list[dict],
    first: bool,
    wanted: int,
    heads: int,
    framing: str,
    seed: int,
) -> Rows:
    """Pairs of one person's clips. first: the reference is the first frame of a clip, as it is with a photo."""
    random = np.random.default_rng([seed, zlib.crc32(person.encode())])
    model, out = load_bundled(), Rows()
    if len(rows) > _REFERENCES:
        rows = [rows[k] for k in sorted(random.choice(len(rows), _REFERENCES, replace=False))]
    loaded = [_Clip.load(prepared, clips, row) for row in rows]
    references = []
    for place, clip in enumerate(loaded):
        share = _REFERENCES // len(loaded) + (place < _REFERENCES % len(loaded))
        references += [_Reference(clip, k, model, framing) for k in _choose_references(clip, share, first, random)]
    for _ in range(wanted):
        kind = random.choice(list(_SHARES), p=list(_SHARES.values()))
        order = random.permutation(len(references))
        found = next(((r, k) for r in order if (k := references[r].pick(kind, random)) is not None), None)
        if found is None:
            continue
        reference, index = references[found[0]], found[1]
        clip = reference.clip
        target = reference.meshes[index]
        crop = FaceCrop.framed(framing, target, clip.crop)
        # As tracked: the mesh, whose motion is smoothed, closes its lids less than people do.
        shut = clip.lids[index] < _SHUT * clip.lids[reference.index]
        made = _make(reference.warp, reference.vertices, target, clip.frames[index], reference.crop, crop, shut)
        if made is None:
            continue
        if reference.row < 0:
            reference.row = len(out.files["reference"])
            out.files["reference"].append(reference.crop.take(clip.frames[reference.index]))
        out.add(reference.row, person, "clip", _coefficients(clip.motion, index), made)
    for _ in range(heads):
        frames = loaded[random.integers(len(loaded))].frames
        out.files["heads"].append(_head(frames[random.integers(len(frames))]))
    return out


def _choose_references(clip: _Clip, count: int, first: bool, random: np.random.Generator) -> list[int]:
    """The most closed mouth, an opened one, and others at random; or the first frame alone."""
    known = np.flatnonzero(clip.shot >= 0)
    if first:
        return [0] if clip.shot[0] >= 0 else []
    if not len(known) or not count:
        return []
    by_aperture = known[clip.aperture[known].argsort(kind="stable")]
    chosen = [int(by_aperture[0]), int(by_aperture[int(0.85 * len(known))])][:count]
    rest = np.setdiff1d(known, chosen)
    if count > 2 and len(rest):
        chosen += random.choice(rest, min(count - 2, len(rest)), replace=False).tolist()
    return chosen


def _coefficients(motion: Motion, index: int) -> np.ndarray:
    parts = (motion.expression[index], motion.rotation[index], motion.translation[index])
    return np.concatenate(parts).astype(np.float32)


def portrait_pairs(
    prepared: Path,
    photos: Path,
    motions: list[str],
    stills: list[int],
    wanted: int,
    heads: int,
    framing: str,
    seed: int,
) -> Rows:
    """Pairs of a few still photos. motions: names of those whose expressions may be borrowed."""
    model, out = load_bundled(), Rows()
    with np.load(prepared / "portraits.npz", allow_pickle=False) as file:
        names, points = file["names"][stills], file["points"][stills]
    for place, (still, name, landmarks) in enumerate(zip(stills, names, points)):
        random = np.random.default_rng([seed, 1, still])
        image = read_image(photos / str(name))
        if place < heads:
            out.files["heads"].append(_head(image))
        try:
            fit = PhotoFit.from_landmarks(image, landmarks, model)
        except InputError:  # a profile
            continue
        warp = MeshWarp(image, landmarks, fit.crop)
        coefficients = np.concatenate([fit.expression, fit.rotation, fit.translation]).astype(np.float32)
        for _ in range(wanted):
            mesh = _borrowed(fit, prepared, motions, random)
            reference = warp(mesh)
            reference_crop = FaceCrop.framed(framing, mesh, fit.crop)
            back = MeshWarp(reference, mesh, Crop.around(mesh))
            crop = FaceCrop.framed(framing, landmarks, fit.crop)
            shut = -lid_gap(landmarks) < _SHUT * -lid_gap(mesh)
            made = _make(back, mesh, landmarks, image, reference_crop, crop, shut)
            if made is None:
                continue
            row = len(out.files["reference"])
            out.files["reference"].append(reference_crop.take(reference))
            out.add(row, f"portrait:{name}", "portrait", coefficients, made)
    return out


def _borrowed(fit: PhotoFit, prepared: Path, motions: list[str], random: np.random.Generator) -> np.ndarray:
    """The photo's mesh [478, 3] under somebody else's expression and a slightly other pose.

    The lips are opened less, more or as far as the photo's so that a pair back to the photo is of the kinds wanted, as
    far as its mouth allows.
    """
    taken = []
    for name in random.choice(motions, 4):
        expression = Motion.load(prepared / "motions" / f"{name}.npz").expression
        taken.append(expression[random.integers(len(expression), size=12)])
    expressions = np.concatenate(taken)
    gain = lip_aperture(fit.landmarks) - lip_aperture(fit.vertices(expressions))
    # Photos are where teeth are sharp: most pairs that can show how they appear do so.
    groups = (
        np.flatnonzero(gain > APERTURE_STEP),
        np.flatnonzero(gain < -APERTURE_STEP),
        np.flatnonzero(np.abs(gain) <= APERTURE_STEP),
    )
    shares = np.array(_PORTRAIT_SHARES) * [len(group) > 0 for group in groups]
    chosen = groups[random.choice(3, p=shares / shares.sum())]
    expression = expressions[random.choice(chosen)]
    rotation = fit.rotation + np.deg2rad(random.normal(0, (3, 6, 2)))
    translation = fit.translation + random.normal(0, (0.03, 0.03, 0.02))
    return fit.vertices_px(expression, rotation.astype(np.float32), translation.astype(np.float32))


def _head(image: np.ndarray) -> np.ndarray:
    """A head crop at 256 x 256."""
    if image.shape[:2] == (SIZE, SIZE):
        return image
    smaller = max(image.shape[:2]) > SIZE
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
