"""Training pairs from clips: two frames of one clip, the first one warped to the mesh of the second."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from shared.face_model import MorphableModel, load_bundled
from shared.face_model.camera import canonical, project, rigid_fit
from shared.faces.crop import Crop
from shared.metrics.rendering import APERTURE_STEP
from stage2_render.training.clip import HEAD_SIDE, Clip
from stage2_render.training.repair.pair_rows import OPEN, SHUT, Rows, make_pair
from stage2_render.warp.mesh_warp import MeshWarp

# Share of each kind of pair.
_SHARES = {"opened": 0.4, "closed": 0.17, "same": 0.3, "blinked": 0.13}
# A mesh whose mean distance from the tracked points (in pixels of a head crop) is larger is a failed fit; and the
# largest difference in yaw of a pair.
_MAX_ERROR, _MAX_YAW = 4.0, np.deg2rad(30.0)
# References of one person, and the quantile of the lip aperture of the one with an open mouth.
_REFERENCES, _OPEN_QUANTILE = 7, 0.85
# The target is the farthest in pose of so many candidates.
_CANDIDATES = 4


class Reference:
    """A frame of a clip that is warped to others; its warp is built when it is first used.

    Attributes:
        meshes: float32 [T, 478, 3], the frame's own mesh under the motion of each frame, as in `PhotoFit.vertices_px`.
        left: kind of pair -> bool [T], the frames that can still be chosen as target.
        row: of its image in the output; -1: not added yet.
    """

    def __init__(self, clip: Clip, index: int, model: MorphableModel) -> None:
        self.clip, self.index, self.row = clip, index, -1
        self.vertices = clip.landmarks[index]
        motion, rigid = clip.motion, model.groups["rigid"]
        points = clip.crop.to_crop(self.vertices)
        assert motion.identity is not None  # that of the person in the clip
        shape = model.vertices(motion.identity, motion.expression)[: len(clip.shot)]
        pose = motion.rotation[: len(clip.shot)], motion.translation[: len(clip.shot)]
        # The depth of the head as a whole is not part of its shape.
        depth = rigid_fit(shape[index][rigid], points[rigid])[2]
        residual = canonical(points, pose[0][index], pose[1][index], depth) - shape[index]
        self.meshes = clip.crop.to_pixels(project(shape + residual, *pose))
        # `project` omits the depth; with it the mesh of the reference is exact.
        self.meshes += self.vertices - self.meshes[index]
        unit = max(clip.frames[0].shape[:2]) / HEAD_SIDE
        error = np.linalg.norm((self.meshes - clip.landmarks)[:, :468, :2], axis=-1).mean(-1) / unit
        turned = np.abs(motion.rotation[: len(error), 1] - motion.rotation[index, 1])
        usable = (error < _MAX_ERROR) & (turned < _MAX_YAW) & (clip.shot == clip.shot[index])
        usable[index] = False
        gain = clip.aperture - clip.aperture[index]
        eyes_open = clip.lids[index] > OPEN * np.median(clip.lids)
        self.left = {
            "opened": usable & (gain > APERTURE_STEP),
            "closed": usable & (gain < -APERTURE_STEP),
            "same": usable & (np.abs(gain) <= APERTURE_STEP),
            "blinked": usable & (clip.lids < SHUT * clip.lids[index]) & eyes_open,
        }
        self._distance = clip.pose_distance(index)
        self._warp: MeshWarp | None = None

    def pick(self, kind: str, random: np.random.Generator) -> int | None:
        """Choose a target of this kind that was not chosen before: of a few at random the farthest in pose."""
        candidates = np.flatnonzero(self.left[kind])
        if not len(candidates):
            return None
        few = random.choice(candidates, min(_CANDIDATES, len(candidates)), replace=False)
        chosen = int(few[self._distance[few].argmax()])
        # Its neighbours are nearly equal.
        self.left[kind][max(chosen - 1, 0) : chosen + 2] = False
        return chosen

    def add_pair(self, index: int, person: str, out: Rows) -> None:
        """Make the pair with a target frame, unless the two differ by more than motion."""
        clip, target = self.clip, self.meshes[index]
        if self._warp is None:
            self._warp = MeshWarp(clip.frames[self.index], self.vertices, Crop.around(self.vertices))
        pair = make_pair(self._warp, self.vertices, target, clip.frames[index])
        if pair is None:
            return
        if self.row < 0:
            self.row = out.add_reference(clip.frames[self.index], self.vertices)
        images, facts = pair
        # As tracked: the mesh, whose motion is smoothed, closes its lids less than people do.
        facts["shut"] = bool(clip.lids[index] < SHUT * clip.lids[self.index])
        facts |= {"reference": self.row, "person": person, "kind": "clip", "face": clip.face}
        out.add(images, **facts)


def person_pairs(folders: tuple[Path, Path], person: str, rows: list, first: bool, pairs: int, seed: int) -> Rows:
    """Make the pairs of one person's clips.

    Args:
        folders: the prepared folder, and that of its videos.
        person: the name.
        rows: of the index.
        first: whether the reference is the first frame of a clip, as in inference; else several frames.
        pairs: how many, at most.
        seed: of the choice.
    """
    random = np.random.default_rng([seed, zlib.crc32(person.encode())])
    model, out = load_bundled(), Rows()
    if len(rows) > _REFERENCES:
        rows = [rows[k] for k in sorted(random.choice(len(rows), _REFERENCES, replace=False))]
    loaded = [Clip.load(*folders, row) for row in rows]
    references = []
    for place, clip in enumerate(loaded):
        count = _REFERENCES // len(loaded) + (place < _REFERENCES % len(loaded))
        chosen = _choose_references(clip, count, first, random)
        references += [Reference(clip, index, model) for index in chosen]
    for _ in range(pairs):
        kind = random.choice(list(_SHARES), p=list(_SHARES.values()))
        order = random.permutation(len(references))
        found = next(((r, k) for r in order if (k := references[r].pick(kind, random)) is not None), None)
        if found is not None:
            references[found[0]].add_pair(found[1], person, out)
    return out


def _choose_references(clip: Clip, count: int, first: bool, random: np.random.Generator) -> list[int]:
    """The frame with the most closed mouth, one with an open mouth, and others at random; or the first frame alone."""
    known = np.flatnonzero(clip.shot >= 0)
    if first:
        return [0] if clip.shot[0] >= 0 else []
    if not len(known) or not count:
        return []
    by_aperture = known[clip.aperture[known].argsort(kind="stable")]
    chosen = [int(by_aperture[0]), int(by_aperture[int(_OPEN_QUANTILE * len(known))])][:count]
    rest = np.setdiff1d(known, chosen)
    if count > 2 and len(rest):
        chosen += random.choice(rest, min(count - 2, len(rest)), replace=False).tolist()
    return chosen
