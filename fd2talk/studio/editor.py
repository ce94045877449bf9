"""The timeline editor of one video: edit session, rendered frames, and the files made from them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.media_checks import read_speech
from fd2talk.output import write_video
from fd2talk.studio.controls import SHORT_TITLES
from fd2talk.studio.edit_session import EditSession
from fd2talk.studio.edit_state import ARRAYS, Edit
from fd2talk.studio.editor_view import EditorView
from fd2talk.studio.frame_cache import FrameCache, Room
from fd2talk.studio.generation import Generated, Settings
from fd2talk.studio.jobs import Cancelled, Report
from fd2talk.studio.splice import sound_file
from fd2talk.studio.studio import Studio
from fd2talk.studio.visitors import Page
from shared.audio import FPS, SAMPLE_RATE
from shared.errors import UsageError
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.spliced_sound import Part, SplicedSound

HEAVY = ("regenerate", "cut", "insert")
"""Operations that need a motion model, and run as jobs of the queue."""


@dataclass
class _Drawn:
    """The last rendering: its state of the edit, its files, and how many of its frames were rendered anew."""

    edit: Edit
    files: dict[str, Path]
    rendered: int
    total: int


@dataclass
class Common:
    """What all editors of a page share.

    Args:
        acknowledged: number of the last operation that was applied or refused.
        running: held while one of the editors has a job.
        room: limit of the rendered frames on disk.
    """

    acknowledged: int = 0
    running: threading.Lock = field(default_factory=threading.Lock)
    room: Room = field(default_factory=Room)


@dataclass(eq=False)
class Editor:
    """The editor of one video; `editors.Editors` has all of a page.

    Args:
        studio: which serves the page.
        page: whose motion it is.
        session: the edit.
        settings: of the video: renderer, framing, size; and the motion model to begin with.
        number: id of the editor on the page.
        common: shared with the other editors of the page.
    """

    studio: Studio
    page: Page
    session: EditSession
    settings: Settings
    number: int = 0
    common: Common = field(default_factory=Common)
    model: str = ""
    style: str = ""
    seed: int = 0
    message: str = ""
    error: str = ""
    drawn: _Drawn | None = None
    before: Path | None = None
    turn: int = 0
    saved: Edit | None = None
    _own: list[Path] = field(default_factory=list)
    _styles: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = self.model or self.settings.model
        self.seed = self.settings.seed
        self.style = self.settings.style if isinstance(self.settings.style, str) else ""
        self._frames = self.page.workspace.new("")
        self.cache = FrameCache(self._frames.parent, self._render, self.common.room)
        self.view = EditorView(self)

    @classmethod
    def of_generated(cls, studio: Studio, page: Page, made: Generated, **place: Any) -> Editor:
        """Edit a generated video; `place` has `number` and `common`."""
        sound = (Part(str(made.sound), 0.0, len(made.motion) / FPS),)
        session = EditSession(made.photo, made.motion, studio.engine.face_model, sound=sound)
        return cls(studio, page, session, made.settings, **place)

    @classmethod
    def of_motion(cls, studio: Studio, page: Page, photo: PhotoFit, motion: Motion, **place: Any) -> Editor:
        """Edit a motion that was uploaded. Raises InputError: it is too long, or of another face model."""
        most = studio.limits.seconds
        if len(motion) / motion.fps > most:
            raise UsageError(f"the motion is longer than {most:g} seconds: cut it first")
        path = page.workspace.new(".wav")
        session = EditSession(photo, motion, studio.engine.face_model, sound=sound_file(motion, path))
        editor = cls(studio, page, session, Settings(model=studio.engine.models[0]), **place)
        editor._own.append(path)
        return editor

    def close(self) -> None:
        """Cancel the rendering, and remove all files of this editor, including inserted sound."""
        self.turn += 1
        self.common.room.left(self.cache)
        files = () if self.drawn is None else self.drawn.files.values()
        self.page.workspace.discard(self._frames, *files, *([self.before] if self.before else []), *self._own)

    @property
    def is_edited(self) -> bool:
        """Whether there is anything to undo or redo."""
        return bool(self.session.undoable or self.session.redoable)

    @property
    def is_unsaved(self) -> bool:
        """Whether there are changes that were not downloaded, as video or motion."""
        return bool(self.session.undoable) and self.saved is not self.session.now

    def downloaded(self, path: Path) -> None:
        """Note that a file was downloaded; the table of keys alone does not count as saved."""
        if self.drawn is not None and path in (self.drawn.files["mp4"], self.drawn.files["npz"]):
            self.saved = self.session.now if self.is_drawn else self.drawn.edit

    @property
    def styles(self) -> list[str]:
        """Names of the speaking styles that the model takes."""
        if self.model not in self._styles:
            pipeline = self.studio.engine.speech_to_motion(self.model)
            self._styles[self.model] = pipeline.style_names if "style" in pipeline.model.accepts else []
        return self._styles[self.model]

    # -- operations -----------------------------------------------------------------------------------------------

    def apply(self, operation: Mapping[str, Any]) -> None:
        """Apply an operation that needs no model. Raises Fd2TalkError: it is invalid, and nothing has changed."""
        session, kind = self.session, operation.get("op")
        self.message = self.error = ""
        before = session.now
        if kind == "put":
            origin = operation.get("from")
            moved_from = None if origin is None else _whole(origin)
            value = float(operation.get("value", np.nan))
            session.put(str(operation.get("curve")), _whole(operation.get("frame")), value, instead_of=moved_from)
        elif kind == "delete":
            session.delete(str(operation.get("curve")), _whole(operation.get("frame")))
        elif kind == "lock":
            session.lock(*_range(operation))
        elif kind == "unlock":
            session.unlock(*_range(operation))
        elif kind in ("undo", "redo"):
            # Fast clicks may arrive when nothing is left to undo: no error.
            if (session.undoable if kind == "undo" else session.redoable) is None:
                self.message = f"There is nothing to {kind}"
            else:
                self.message = f"{'Undone' if kind == 'undo' else 'Done again'}: {getattr(session, kind)()}"
        elif kind == "model":
            name = str(operation.get("name"))
            if name not in self.studio.engine.models:
                known = ", ".join(self.studio.engine.models)
                raise UsageError(f"there is no motion model {name!r} (there are: {known})")
            self.model = name
        elif kind == "style":
            name = str(operation.get("name") or "")
            if name and name not in self.styles:
                raise UsageError(f"there is no style {name!r} (there are: {', '.join(self.styles) or 'none'})")
            self.style = name
        elif kind != "show":
            raise UsageError(f"there is no operation {kind!r}")
        if session.now is not before and not self.message:
            what = session.now.what
            self.message = what[:1].upper() + what[1:]

    def generate(self, operation: Mapping[str, Any], report: Report) -> None:
        """Apply an operation of `HEAVY`. Raises as `apply`."""
        self.message = self.error = ""
        session, kind = self.session, operation.get("op")
        report("loading the motion model")
        pipeline = self.studio.engine.speech_to_motion(self.model)
        style = pipeline.named_style(self.style) if self.style in self.styles else None
        options: dict[str, Any] = {"style": style, "progress": partial(report, "generating motion")}
        if kind == "regenerate":
            start, stop = _range(operation) if "start" in operation else (0, len(session.now.motion))
            session.regenerate(pipeline, start, stop, seed=self.seed + 1, **options)
            self.seed += 1
            self.message = "" if style is None else f", style {self.style.replace('-', ' ')}"
            if "constraint" not in pipeline.model.accepts:
                name = SHORT_TITLES.get(self.model, self.model)
                self.message += f". {name} generates freely; its motion was bent to what stays"
        elif kind == "cut":
            lost = session.cut(pipeline, *_range(operation), seed=self.seed, **options)
            self.message = f", with {lost} key{'s' * (lost != 1)}" if lost else ""
        elif kind == "insert":
            path = self.page.workspace.owns(str(operation.get("path")))
            self._own.append(path)
            speech = read_speech(path, self.studio.limits)
            most = self.studio.limits.seconds
            if len(session.now.motion) / FPS + len(speech) / SAMPLE_RATE > most:
                raise UsageError(f"with this sound the motion would last longer than {most:g} seconds")
            frame = _whole(operation.get("frame"))
            session.insert(pipeline, frame, speech, str(path), seed=self.seed, **options)
        what = session.now.what + self.message
        notes = self.studio.notes.of(self.page.name)
        self.message = ". ".join([what[:1].upper() + what[1:], *(note[:1].upper() + note[1:] for note in notes)])

    # -- video ----------------------------------------------------------------------------------------------------

    @property
    def is_drawn(self) -> bool:
        """Whether the files are those of the current state of the edit."""
        return self._shows_motion and self.drawn is not None and self.drawn.edit.keys == self.session.now.keys

    @property
    def _shows_motion(self) -> bool:
        """Whether the video has the current motion and sound; locks and the table of keys do not matter for it."""
        if self.drawn is None:
            return False
        one, other = self.drawn.edit, self.session.now
        if one.motion is other.motion and one.sound == other.sound:
            return True
        # Without files, the sound is that of the motion.
        heard = one.sound == other.sound and (bool(one.sound) or one.motion.audio is other.motion.audio)
        return heard and all(np.array_equal(getattr(one.motion, name), getattr(other.motion, name)) for name in ARRAYS)

    def draw(self, report: Report, turn: int) -> None:
        """Render the changed frames, and write the video and the other files.

        Args:
            report: progress of the job.
            turn: value of `self.turn`; when that has changed, this rendering is outdated, and raises `Cancelled`.
        """
        edit, workspace = self.session.now, self.page.workspace
        motion = edit.motion
        if self.drawn is not None and self._shows_motion:
            table = workspace.new(".csv")
            table.write_text(self.session.keys_csv(), encoding="utf-8")
            workspace.discard(self.drawn.files["csv"])
            self.drawn = _Drawn(edit, self.drawn.files | {"csv": table}, 0, len(motion))
            return
        missing, count = self.cache.missing(motion), 0

        def on_rendered(rendered: int) -> None:
            nonlocal count
            count = rendered
            report(f"rendering {missing} of {len(motion)} frames", rendered, missing)

        def checked(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            for number, frame in enumerate(frames, 1):
                if self.turn != turn:
                    raise Cancelled
                yield frame
                if not missing:
                    report("writing the video", number, len(motion))

        video = workspace.new(".mp4")
        sound = SplicedSound(edit.sound) if edit.sound else motion.audio
        frames, signer = checked(self.cache.frames(motion, on_rendered)), self.studio.engine.signer
        write_video(video, frames, audio=sound, source=motion.source, signer=signer)
        files = {"mp4": video, "npz": workspace.new(".npz"), "csv": workspace.new(".csv")}
        motion.save(files["npz"])
        files["csv"].write_text(self.session.keys_csv(), encoding="utf-8")
        old = self.drawn
        self.drawn = _Drawn(edit, files, count, len(motion))
        if self.before is None and edit.motion is self.session.original:
            self.before = video
        if old is not None:
            workspace.discard(*(path for path in old.files.values() if path != self.before))

    def _render(self, motion: Motion) -> Iterator[np.ndarray]:
        render, settings = self.studio.engine.renderer(self.settings.renderer), self.settings
        return render(self.session.photo, motion, relative=False, full=settings.full, max_size=settings.max_size)

    def state(self, what: str = "", done: int = 0, total: int = 0, heavy: bool = False) -> dict[str, Any]:
        """The state for the page, see `EditorView.state`."""
        return self.view.state(what, done, total, heavy)


def _whole(value: Any) -> int:
    """A frame's number. Raises UsageError: it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 1e9:
        raise UsageError(f"{value!r} is no frame")
    return round(value)


def _range(operation: Mapping[str, Any]) -> tuple[int, int]:
    return _whole(operation.get("start")), _whole(operation.get("stop"))
