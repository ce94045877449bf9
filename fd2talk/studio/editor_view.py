"""The state of an editor for the page, as JSON-compatible values: the value of the timeline component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fd2talk.studio.controls import SHORT_TITLES
from fd2talk.studio.curves import lanes, read_curves, waveform
from fd2talk.studio.edit_state import Edit
from shared.audio import FPS

if TYPE_CHECKING:
    from fd2talk.studio.editor import Editor


class EditorView:
    """Makes the states of an editor; curves and waveform are computed once per state of the edit.

    Attributes:
        original: the curves before all edits, float [T] each, by name.
    """

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        session = editor.session
        self.original = read_curves(session.original, session.rest, session.model)
        self._revision = 0
        self._shown: tuple[Edit, dict[str, Any]] | None = None

    def state(self, what: str = "", done: int = 0, total: int = 0, heavy: bool = False) -> dict[str, Any]:
        """The current state.

        Args:
            what: the job that is running, in words; empty for none.
            done: steps of it that are done.
            total: number of its steps, 0 if unknown.
            heavy: whether it changes the motion, so that the page must send no other change.
        """
        editor, session, edit = self._editor, self._editor.session, self._editor.session.now
        self._revision += 1
        if self._shown is None or self._shown[0] is not edit:
            self._shown = edit, self._curves(edit)
        files = {} if editor.drawn is None else editor.drawn.files
        url, page = editor.studio.url, editor.page
        drawn = editor.drawn if editor.drawn is not None and editor.drawn.edit is edit else None
        styles = [[name, name.replace("-", " ")] for name in editor.styles]
        return self._shown[1] | {
            "revision": self._revision,
            "editor": editor.number,
            "acknowledged": editor.common.acknowledged,
            "undo": session.undoable,
            "redo": session.redoable,
            "unsaved": editor.is_unsaved,
            "model": editor.model,
            "models": [[name, SHORT_TITLES.get(name, name)] for name in editor.studio.engine.models],
            "style": editor.style if editor.style in editor.styles else "",
            "styles": [["", "As before"], *styles] if styles else [],
            "seed": editor.seed,
            "room": max(0.0, editor.studio.limits.seconds - len(edit.motion) / FPS),
            "files": {kind: url(path, page) for kind, path in files.items()},
            "before": url(editor.before, page) if editor.before else None,
            "drawn": editor.is_drawn,
            "rendered": f"{drawn.rendered} of {drawn.total} frames rendered" if drawn else "",
            "busy": {"what": what, "done": done, "total": total, "heavy": heavy} if what else None,
            "message": editor.message,
            "error": editor.error[:1].upper() + editor.error[1:],
        }

    def _curves(self, edit: Edit) -> dict[str, Any]:
        session = self._editor.session
        drawn = lanes(read_curves(edit.motion, session.rest, session.model), edit.keys)
        same_time = edit.motion.audio is session.original.audio and len(edit.motion) == len(self.original["gap"])
        for lane in drawn:
            before = self.original[lane["name"]] if same_time else None
            lane["before"] = [] if before is None else np.round(before, lane["digits"] + 1).tolist()
        sound = waveform(edit.motion.audio, len(edit.motion))
        return {"fps": FPS, "frames": len(edit.motion), "lanes": drawn, "locks": list(edit.locks), "waveform": sound}
