"""A motion under edit: keys, locked ranges, new motion between them, cuts, inserts, and a way back from everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fd2talk.studio.curves import BY_NAME, keyframe, keys_table
from fd2talk.studio.edit_state import ARRAYS, Edit, Span, dilated, in_seconds, mask_of, merged, spans_of, with_keys
from fd2talk.studio.splice import Sound, cut_out, put_in
from shared.audio import FPS, frame_count
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.retarget import is_of, onto_photo
from stage1_motion.editing.bend import REACH, CurveKey, through_keys
from stage1_motion.editing.face_curves import Rest
from stage1_motion.editing.request import EditRequest, planned
from stage1_motion.editing.timeline import Insert
from stage1_motion.interface import Constraint
from stage1_motion.parts import PARTS
from stage1_motion.pipeline import MotionPipeline

MOST_STEPS = 100
"""Steps that can be undone."""


class EditSession:
    """One visitor's edit of one motion, with its history. A step that fails changes nothing.

    A key bends the motion around it at once, within `bend.REACH`. `regenerate` has the motion model generate motion
    that passes through the keys instead, which then bend nothing.

    Args:
        photo: whose face is shown.
        motion: at 25 frames per second; that of another person is put onto the photo first.
        model: the face model.
        sound: files of the motion's sound; videos use them at their own sampling rate.
        steps: that can be undone.

    Raises:
        InputError: the motion is of another face model.
    """

    def __init__(
        self, photo: PhotoFit, motion: Motion, model: MorphableModel, *, sound: Sound = (), steps: int = MOST_STEPS
    ) -> None:
        if motion.face_model != model.fingerprint:
            raise InputError(f"the motion belongs to face model {motion.face_model}, not {model.fingerprint}")
        motion = motion.resample(FPS)
        if not is_of(motion, photo):
            motion = onto_photo(motion, photo)
        self.photo, self.model, self.original = photo, model, motion
        self.rest = Rest.of(motion, model)
        self._now = Edit(motion, motion, sound=sound)
        self._past: list[Edit] = []
        self._future: list[Edit] = []
        self._steps, self._lock = steps, threading.RLock()

    @property
    def now(self) -> Edit:
        """The edit as it stands."""
        return self._now

    @property
    def undoable(self) -> str | None:
        """What `undo` takes back; None: nothing."""
        return self._now.what if self._past else None

    @property
    def redoable(self) -> str | None:
        """What `redo` does again; None: nothing."""
        return self._future[-1].what if self._future else None

    # -- keys -----------------------------------------------------------------------------------------------------

    def put(self, name: str, frame: int, value: float, *, instead_of: int | None = None) -> None:
        """Add a key, change an existing one, or move one here.

        Args:
            name: of the curve.
            frame: of the key.
            value: of the curve there.
            instead_of: the frame from which the key is moved.

        Raises:
            UsageError: no such curve, a frame outside the motion, one that is locked, or no key to be moved.
            InputError: a value out of range, or one that this face cannot reach.
        """
        with self._lock:
            now = self._now
            if name not in BY_NAME:
                raise UsageError(f"there is no curve {name!r} (there are: {', '.join(BY_NAME)})")
            self._check_free(frame)
            key = CurveKey(int(frame), name, float(value))
            keyframe(key)
            gone, what = {frame}, "change of a key"
            if instead_of is not None:
                self._check_free(instead_of)
                self._find(name, instead_of)
                gone.add(instead_of)
                what = "move of a key" if instead_of != frame else what
            elif not any(other.name == name and other.frame == frame for other in now.keys):
                what = "new key"
            keys = [other for other in now.keys if other.name != name or other.frame not in gone]
            self._bend(now.base, [*keys, key], now.locks, f"{what}: {BY_NAME[name].label}, {frame / FPS:.2f} s")

    def delete(self, name: str, frame: int) -> None:
        """Remove a key. Raises UsageError: there is none, or it is locked."""
        with self._lock:
            self._check_free(frame)
            gone = self._find(name, frame)
            keys = [key for key in self._now.keys if key is not gone]
            what = f"removal of a key: {BY_NAME[name].label}, {frame / FPS:.2f} s"
            self._bend(self._now.base, keys, self._now.locks, what)

    # -- locks ----------------------------------------------------------------------------------------------------

    def lock(self, start: int, stop: int) -> None:
        """Lock frames from start to stop as they are. Raises UsageError: an empty range."""
        with self._lock:
            start, stop = self._span(start, stop)
            now = self._now
            mask = self.locked | mask_of([(start, stop)], len(now.motion))
            # The bent frames become the base, as locked frames do not bend any more.
            base = merged(now, now.motion, mask)
            self._bend(base, now.keys, spans_of(mask), f"lock of {in_seconds(start, stop)}")

    def unlock(self, start: int, stop: int) -> None:
        """Unlock frames from start to stop. Raises UsageError: none of them is locked."""
        with self._lock:
            start, stop = self._span(start, stop)
            if not self.locked[start:stop].any():
                raise UsageError(f"nothing is locked in {in_seconds(start, stop)}")
            mask = self.locked & ~mask_of([(start, stop)], len(self._now.motion))
            self._bend(self._now.base, self._now.keys, spans_of(mask), f"unlock of {in_seconds(start, stop)}")

    @property
    def locked(self) -> np.ndarray:
        """Bool [T], which frames are locked."""
        return mask_of(self._now.locks, len(self._now.motion))

    # -- new motion -----------------------------------------------------------------------------------------------

    def regenerate(
        self,
        pipeline: MotionPipeline,
        start: int = 0,
        stop: int | None = None,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> None:
        """Regenerate frames from start to stop, by default all, through the keys; locked frames stay.

        In the frame of a key, the part of the face to which its curve belongs stays (`keyframes.OF_PART`).

        Args:
            pipeline: of any model.
            start: the first frame.
            stop: one behind the last.
            seed: another one gives another motion.
            progress: called with (frames done, frames in all).
            options: further arguments of `MotionPipeline.edit`.

        Raises:
            UsageError: no frames, all of them locked, or the motion was changed meanwhile.
            InputError: as `MotionPipeline.edit`: the motion has no sound.
        """
        now = self._now
        start, stop = self._span(start, len(now.motion) if stop is None else stop)
        free = mask_of([(start, stop)], len(now.motion)) & ~self.locked
        if not free.any():
            raise UsageError(f"all of {in_seconds(start, stop)} is locked: there is nothing to generate")
        keys = [key for key in now.keys if free[key.frame]]
        constraint = Constraint(now.motion, with_keys(~free, keys), keys, self.rest)
        made = pipeline.edit(now.motion, None, constraint, seed=seed, progress=progress, **options)
        with self._lock:
            self._check_unchanged(now)
            self._bend(merged(now, made, free), now.keys, now.locks, f"new motion in {in_seconds(start, stop)}")

    def cut(self, pipeline: MotionPipeline, start: int, stop: int, **options: Any) -> int:
        """Cut out frames and their sound; the seam is regenerated, and all later keys and locks are shifted.

        Args:
            pipeline: of any model.
            start: the first frame.
            stop: one behind the last.
            options: further arguments of `MotionPipeline.edit`.

        Returns:
            How many keys were cut out.

        Raises:
            UsageError: no frames, some that are locked, nothing would be left, or the motion was changed meanwhile.
            InputError: the motion has no sound from which the seam could be generated.
        """
        start, stop = self._span(start, stop)
        if self.locked[start:stop].any():
            raise UsageError(f"some of {in_seconds(start, stop)} is locked: unlock it before you cut it out")
        before = len(self._now.keys)
        request = EditRequest(keep=[(0, np.inf)], cuts=[(start / FPS, stop / FPS)])
        sound = cut_out(self._now.sound, start / FPS, stop / FPS)
        self._rearrange(pipeline, request, sound, f"cut of {in_seconds(start, stop)}", options)
        return before - len(self._now.keys)

    def insert(
        self, pipeline: MotionPipeline, frame: int, speech: np.ndarray, path: str | None = None, **options: Any
    ) -> None:
        """Insert sound before a frame; its motion is generated, and all later keys and locks are shifted.

        Args:
            pipeline: of any model.
            frame: from 0 to the number of frames.
            speech: float32 [n], mono, 16 kHz.
            path: its file; videos use it at its own sampling rate.
            options: further arguments of `MotionPipeline.edit`.

        Raises:
            UsageError: a place within a locked range or outside the motion, or the motion was changed meanwhile.
            InputError: the motion has no sound that could be added to.
        """
        if any(start < frame < stop for start, stop in self._now.locks):
            raise UsageError(f"{frame / FPS:.2f} s is locked: sound can be inserted before or behind what is locked")
        request = EditRequest(keep=[(0, np.inf)], inserts=[Insert(frame / FPS, speech)])
        seconds = frame_count(len(speech)) / FPS
        sound = () if path is None else put_in(self._now.sound, frame / FPS, path, seconds)
        self._rearrange(pipeline, request, sound, f"insert of {seconds:.2f} s at {frame / FPS:.2f} s", options)

    # -- history --------------------------------------------------------------------------------------------------

    def undo(self) -> str:
        """Take the last step back, and return what it was. Raises UsageError: there is none."""
        with self._lock:
            if not self._past:
                raise UsageError("there is nothing to undo")
            self._future.append(self._now)
            self._now = self._past.pop()
            return self._future[-1].what

    def redo(self) -> str:
        """Do again what was undone last, and return what it was. Raises UsageError: there is nothing."""
        with self._lock:
            if not self._future:
                raise UsageError("there is nothing to redo")
            self._past.append(self._now)
            self._now = self._future.pop()
            return self._now.what

    def keys_csv(self) -> str:
        """The keys, as `fd2talk edit --keyframes` reads them; times are those of the motion as it is now."""
        return keys_table(self._now.keys)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _rearrange(
        self, pipeline: MotionPipeline, request: EditRequest, sound: Sound, what: str, options: dict[str, Any]
    ) -> None:
        now = self._now
        plan = planned(now.motion, None, request, self.model)
        at = {int(frame): place for place, frame in enumerate(plan.origin) if frame >= 0}
        keys = tuple(replace(key, frame=at[key.frame]) for key in now.keys if key.frame in at)
        # A lock is shifted as a whole: neither inserts nor cuts may fall into one.
        locks = tuple((at[start], at[stop - 1] + 1) for start, stop in now.locks)
        locked = mask_of(locks, len(plan.motion))
        seam = ~plan.constraint.mask.all(1) & ~locked
        constraint = replace(plan.constraint, mask=with_keys(~seam, keys), keys=keys, rest=self.rest)
        made = pipeline.edit(plan.motion, plan.speech, constraint, **options)
        with self._lock:
            self._check_unchanged(now)
            order = np.maximum(plan.origin, 0)
            moved = {name: getattr(now.base, name)[order] for name in ARRAYS}
            rearranged = replace(now, base=replace(made, **moved), motion=plan.motion)
            # A cut brings keys closer together, which would bend the frames between them differently.
            near = dilated(seam, 2 * max(REACH.values())) if len(made) < len(now.motion) else seam
            self._bend(merged(rearranged, made, seam, near), keys, locks, what, sound)

    def _bend(
        self, base: Motion, keys: Sequence[CurveKey], locks: tuple[Span, ...], what: str, sound: Sound | None = None
    ) -> None:
        """Bend the base through the keys, and append the result to the history."""
        given = np.repeat(mask_of(locks, len(base))[:, None], len(PARTS), axis=1)
        motion = through_keys(base, keys, given, self.rest, self.model)
        ordered = tuple(sorted(keys, key=lambda key: (key.frame, key.name)))
        self._past = [*self._past, self._now][-self._steps :]
        self._future.clear()
        self._now = Edit(base, motion, ordered, locks, self._now.sound if sound is None else sound, what)

    def _find(self, name: str, frame: int) -> CurveKey:
        found = [key for key in self._now.keys if (key.name, key.frame) == (name, frame)]
        if not found:
            raise UsageError(f"there is no key of {name!r} at {frame / FPS:.2f} s")
        return found[0]

    def _span(self, start: int, stop: int) -> Span:
        frames = len(self._now.motion)
        if not 0 <= start < stop <= frames:
            raise UsageError(
                f"{in_seconds(start, stop)} holds no frame of the motion, which lasts {frames / FPS:.2f} s"
            )
        return int(start), int(stop)

    def _check_free(self, frame: int) -> None:
        frames = len(self._now.motion)
        if not 0 <= frame < frames:
            raise UsageError(f"{frame / FPS:.2f} s lies outside the motion, which lasts {frames / FPS:.2f} s")
        if self.locked[frame]:
            raise UsageError(f"{frame / FPS:.2f} s is locked: unlock it to change its keys")

    def _check_unchanged(self, before: Edit) -> None:
        if self._now is not before:
            raise UsageError("the motion was changed while new motion was generated: please try again")
