"""Render an edited video: changed frames are drawn from the frames of the video, the others are those of the video."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    distance_transform_edt,
    gaussian_filter1d,
    label,
    maximum_filter1d,
    minimum_filter1d,
)

from shared.errors import UsageError
from shared.face_model.camera import project
from shared.face_model.measures import lid_gap, lip_gap
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prefetch import prefetch_map
from shared.retarget import eye_part, moved_pose, note_limited_turns
from stage2_render.editing.footage import Footage, FrameReader
from stage2_render.editing.lip_donors import lip_donors
from stage2_render.editing.lips_reference import Lips, LipsReference, layered, mixed
from stage2_render.editing.mouth_reference import MouthReference, most_teeth
from stage2_render.editing.sources import Sources, sources
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.parts import MOUTH, PARTS
from stage2_render.repair.renderer import Prepared, RepairRenderer
from stage2_render.warp.compositing import smoothstep
from stage2_render.warp.mesh_warp import MeshWarp

# Movement of the lips in mm, against the frame of the video and without what all of them move alike, up to which its
# mouth shows what this one does, and from which on it does not. Lips that are kept move less, with what is beside them.
_SAME_MOUTH, _OTHER_MOUTH = 0.5, 1.0
# Standard deviation, in frames, of how that begins and ends; and frames from a kept one to where it may be in full.
_SWELL, _FROM_KEPT = 2.0, 4
# Openings in mm up to which the network is shown the closed mouth of a donor, and from which on the open reference; and
# the share of its work that is left out there: what is between lips needs it, lips alone become softer.
_CLOSED, _OPENED, _PLAIN = 1.0, 3.0, 0.8
# Lids of a frame, relative to the usual, up to which it shows nothing of the eyes, and from which on it does.
_SHUT, _OPEN = 0.35, 0.7
# A generated blink is where lids are nearer than the first, and somewhere nearer than the second; within so many frames
# of a filmed one it is left out.
_BLINKING, _BLINKED, _BESIDE = 0.85, 0.6, 12
# Millimetres over which the mouth passes into the rest of the face.
_BLEND = 8.0


def render_edit(
    pipeline: RenderPipeline,
    footage: Footage,
    after: Motion,
    changed: np.ndarray,
    source_index: np.ndarray | None = None,
    *,
    workers: int = 2,
    donors: bool = True,
) -> Iterator[np.ndarray]:
    """Yield the frames of an edited video, uint8 [H, W, 3]: those of the video without an odd last row or column.

    A changed frame is drawn from the frame that was there, moved by the difference of the motions; see `sources` for
    those without one. Where its mouth is too open for what it should become, its lips are those of a frame with a
    nearly closed mouth (`lip_donors`). What is kept, or shows no face, is the video's own. Memory does not grow with
    the length.

    Args:
        pipeline: with the renderer `repair` or `geometry`.
        footage: the video.
        after: the edited motion, T' frames at 25 per second, in the coordinates of the video's.
        changed: bool [T'], the frames to be drawn.
        source_index: int [T'], the frame of the video that was at each of these; -1: it is inserted. None: as
            numbered, and behind the video's last one inserted.
        workers: threads that draw; 0: everything in this thread.
        donors: whether frames lend their lips; without, all lips are the frames' own.

    Raises:
        UsageError: another renderer.
        InputError: frames are inserted where no face is near.
        ValueError: shapes that disagree, or an inserted frame that is kept.
    """
    if pipeline.networks is not None and not isinstance(pipeline.networks, RepairNetworks):
        raise UsageError("videos are edited with the renderers repair and geometry")
    if source_index is None:
        source_index = np.where(np.arange(len(after)) < len(footage), np.arange(len(after)), -1)
    if not len(after) == len(changed) == len(source_index):
        raise ValueError("the motion, the changed frames and the frames of the video are not equally many")
    plan = sources(source_index, changed, footage.usable, footage.shots, footage.openness > _OPEN)
    if without := sum(bool(change) and not found for change, found in zip(changed, plan)):
        warnings.warn(
            f"no face in {without} of {np.sum(changed)} frames that change: they stay as they are", stacklevel=2
        )
    pairs = [(frame, found[0][0]) for frame, found in enumerate(plan) if found]
    drawn, filmed = np.array(pairs, int).reshape(-1, 2).T
    note_limited_turns(after.rotation[drawn], footage.motion.rotation[filmed])
    source_index = np.asarray(source_index, int)
    return _frames(_Drawing(pipeline, footage, after, plan, source_index), source_index, workers, donors)


@dataclass(frozen=True)
class _Task:
    """A frame of the edit, with the pictures that it is drawn from, or the one that it is."""

    frame: int
    images: list[np.ndarray]


def _frames(drawing: _Drawing, source_index: np.ndarray, workers: int, donors: bool) -> Iterator[np.ndarray]:
    reader = FrameReader(drawing.footage.video)
    drawing.choose_reference(reader)
    if donors:
        drawing.choose_donors(reader)

    def tasks() -> Iterator[_Task]:
        for frame, found in enumerate(drawing.plan):
            needed = [index for index, _ in found] or [int(source_index[frame])]
            yield _Task(frame, [reader[index] for index in needed])

    with closing(prefetch_map(drawing, tasks(), workers=workers, prefetch=workers, name="edit")) as frames:
        yield from frames


class _Drawing:
    """Draws the frames of one edit, each on its own; several threads may do so at once."""

    def __init__(
        self, pipeline: RenderPipeline, footage: Footage, after: Motion, plan: list[Sources], source_index: np.ndarray
    ) -> None:
        self.pipeline, self.footage, self.after, self.plan = pipeline, footage, after, plan
        self.reference: MouthReference | None = None
        self.lips: list[LipsReference] = []
        self.lent = np.zeros((len(plan), 0), np.float32)
        model = footage.model
        lips = np.union1d(model.groups["lips"], model.groups["mouth"])
        away = np.linalg.norm(model.mean[:, None] - model.mean[None, lips], axis=-1).min(1)
        self._near_mouth = np.exp(-np.square(away / _BLEND)).astype(np.float32)[:, None]
        self.mouths, self._fast = self._other_mouths(), footage.smoothed_away()
        gaps = lip_gap(model.vertices(footage.identity, after.expression))
        self.closed = 1 - smoothstep((gaps - _CLOSED) / (_OPENED - _CLOSED))
        self.still_eyes = False
        self.blinks = self._blinks(np.where(source_index < 0, 1, footage.openness[source_index]))

    def choose_reference(self, reader: FrameReader) -> None:
        """Look at the video for the frame that shows the teeth, and whether its eyes are hidden."""
        drawn = [found[0][0] for found in self.plan if found]
        if not drawn:
            return
        self.still_eyes = self.footage.photo(drawn[0], reader[drawn[0]]).eyes_hidden
        if (self.mouths > 0).any():
            near = np.isin(self.footage.shots, self.footage.shots[drawn])
            index = most_teeth(self.footage, reader, near)
            if index is not None:
                photo = self.footage.photo(index, reader[index])
                self.reference = MouthReference(index, photo, self._repair(photo))

    def choose_donors(self, reader: FrameReader) -> None:
        """Look at the video for frames that lend their lips."""
        filmed = np.array([found[0][0] if found else -1 for found in self.plan], int)
        chosen, self.lent = lip_donors(self.footage, reader, self.after, filmed, self.mouths)
        for index in chosen.tolist():
            photo = self.footage.photo(index, reader[index])
            self.lips.append(LipsReference(index, photo, self._repair(photo)))

    def __call__(self, task: _Task) -> np.ndarray:
        found = self.plan[task.frame]
        if not found:
            return task.images[0]
        drawn = [self._drawn(index, image, task.frame) for (index, _), image in zip(found, task.images)]
        if len(drawn) == 1:
            return drawn[0]
        return np.rint(sum(np.float32(weight) * one for (_, weight), one in zip(found, drawn))).astype(np.uint8)

    def _drawn(self, index: int, image: np.ndarray, frame: int) -> np.ndarray:
        """Frame `frame` of the edit, drawn from frame `index` of the video."""
        photo, mouth = self.footage.photo(index, image), float(self.mouths[frame])
        used = np.flatnonzero(self.lent[frame]).tolist()
        lips = [(self.lips[k], share) for k, share in zip(used, layered(self.lent[frame, used].tolist()))]
        target, renderer = self._target(photo, index, frame, lips), self._repair(photo)
        prepared = renderer.prepare(target) if renderer else None
        drawn = prepared.frame if prepared else MeshWarp(photo.image, photo.landmarks, photo.crop)(target)
        for donor, share in lips:
            donor.lay(drawn, target, share)
        if self.reference is not None and mouth > 0:
            own = self._target(self.reference.photo, self.reference.index, frame)
            self.reference.lay(drawn, target, own, photo, mouth)
        if not renderer or not prepared:
            return drawn
        if mouth > 0:
            self._show_mouth(renderer, prepared, target, frame, lips)
        return renderer.paint([prepared])[0]

    def _show_mouth(
        self, renderer: RepairRenderer, prepared: Prepared, target: np.ndarray, frame: int, lips: Lips
    ) -> None:
        """Let the network of the mouth see what was laid over it, and the frames that this is from."""
        place = PARTS.index(MOUTH)
        crop, strength, features = prepared.crops[place], prepared.strengths[place], renderer.features[place]
        prepared.warped[place] = crop.take(prepared.frame)
        if self.reference is not None and self.reference.features:
            features = self.reference.features
        for donor, share in lips:
            if donor.renderer and donor.features:
                strength += share * (donor.renderer.strength(place, crop.points(target)) - strength)
                closed = share * float(self.closed[frame])
                strength *= 1 - _PLAIN * closed
                features = mixed(features, donor.features, closed)
        prepared.strengths[place], renderer.features[place] = strength, features

    def _repair(self, photo: PhotoFit) -> RepairRenderer | None:
        networks = self.pipeline.networks
        if not isinstance(networks, RepairNetworks):
            return None
        return RepairRenderer(photo, networks, self.pipeline.device, self.pipeline.precision)

    def _target(self, photo: PhotoFit, index: int, frame: int, lips: Lips = ()) -> np.ndarray:
        """The mesh [478, 3] of a frame of the edit in the pixels of a frame of the video, whose photo is given.

        Lips of other frames have the shape that they have there: those of open mouths hardly meet.
        """
        mesh = self._mesh(photo, index, frame)
        for donor, share in lips:
            mesh = mesh + np.float32(share) * self._near_mouth * (self._mesh(donor.photo, donor.index, frame) - mesh)
        rotation, translation = moved_pose(self.after, frame, self.footage.motion, index, photo)
        points = project(mesh[None].astype(np.float32), rotation[None], translation[None])
        return photo.crop.to_pixels(points)[0]

    def _mesh(self, photo: PhotoFit, index: int, frame: int) -> np.ndarray:
        """The mesh [478, 3] in mm of a frame of the edit as a frame of the video, whose photo is given, would have it.

        Everything that tracking added to the frame's own mesh stays, so that an unchanged motion changes nothing. Only
        of a changed mouth what smoothing had taken away is left out: it was the fast part of another word. Where the
        eyes are shut in the video they do not open: it shows nothing of them, and a blink more is none too many.
        Beside them there is no generated blink: two would become a long one.
        """
        model, before = self.footage.model, self.footage.motion
        change = self.after.expression[frame] - before.expression[index]
        eyes = eye_part(model, change)
        if self.still_eyes or lid_gap(np.tensordot(eyes, model.exp_basis, 1)) > 0:
            shown = 0.0 if self.still_eyes else smoothstep((self.footage.openness[index] - _SHUT) / (_OPEN - _SHUT))
            change = change - np.float32(1 - shown) * eyes
        closing = min(float(lid_gap(np.tensordot(change, model.exp_basis, 1))), 0.0)
        blink = model.extra["blink"]
        per_mm = blink / lid_gap(np.tensordot(blink, model.exp_basis, 1))
        change = change - (1 - self.blinks[frame]) * np.float32(closing) * per_mm
        fast = np.tensordot(self.mouths[frame] * self._fast[index], model.exp_basis, 1)
        return photo.vertices(photo.expression + change) - self._near_mouth * fast

    def _blinks(self, filmed: np.ndarray) -> np.ndarray:
        """How far lids may close further than those `filmed` [T'], 1 as usual: float32 [T'] in 0..1."""
        lids = np.minimum(self.footage.lids(self.after), 1)
        runs, _ = label(lids < _BLINKING)
        lowest = minimum_filter1d(filmed, 2 * _BESIDE + 1)
        left_out = np.zeros(len(lids), bool)
        for run in range(1, runs.max() + 1):
            of_run = runs == run
            left_out |= of_run & (lids[of_run].min() < _BLINKED) & (lowest[of_run].min() < _BLINKED)
        return 1 - binary_dilation(left_out, iterations=2).astype(np.float32)

    def _other_mouths(self) -> np.ndarray:
        """How far the mouth of each frame is another one than in the video, float [T'] in 0..1."""
        model, before = self.footage.model, self.footage.motion
        lips = model.exp_basis[:, model.groups["lips"]]
        drawn = np.array([bool(found) for found in self.plan])
        moved = np.zeros(len(drawn))
        for frame in np.flatnonzero(drawn):
            change = self.after.expression[frame] - before.expression[self.plan[frame][0][0]]
            movement = np.tensordot(change, lips, 1)
            moved[frame] = np.linalg.norm(movement - movement.mean(0), axis=-1).max()
        swelling = gaussian_filter1d(maximum_filter1d(moved, int(4 * _SWELL) + 1), _SWELL)
        kept = np.full(len(drawn), np.inf) if drawn.all() else distance_transform_edt(drawn)
        other = smoothstep((swelling - _SAME_MOUTH) / (_OTHER_MOUTH - _SAME_MOUTH))
        return other * smoothstep(kept / (_FROM_KEPT + 1))
