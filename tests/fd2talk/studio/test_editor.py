"""What the page's operations do to the edit, its video and its files; with frames that are only warped."""

import json
from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest
from material import SPEECH, fitted_portrait, write_wav

pytest.importorskip("gradio", reason="the extra studio is not installed")

from studio_client import SmallEngine  # noqa: E402

from fd2talk.studio.editor import Editor  # noqa: E402
from fd2talk.studio.generation import Generated, Settings  # noqa: E402
from fd2talk.studio.jobs import Cancelled  # noqa: E402
from fd2talk.studio.limits import Limits  # noqa: E402
from fd2talk.studio.notes import Notes  # noqa: E402
from fd2talk.studio.workspace import Workspace  # noqa: E402
from shared.errors import UsageError  # noqa: E402
from shared.media import read_audio  # noqa: E402
from shared.motion import Motion  # noqa: E402
from stage1_motion.pipeline import MotionPipeline  # noqa: E402
from stage1_motion.registry import BUNDLED  # noqa: E402


class Told:
    """A report that keeps what it is told."""

    def __init__(self, stop=None):
        self.steps, self.stop = [], stop

    def __call__(self, what, done=0, total=0):
        self.steps.append((what, done, total))
        if self.stop:
            self.stop()


class EditEngine(SmallEngine):
    """With the bundled motion models, which edit."""

    models = BUNDLED

    def speech_to_motion(self, model=None):
        return MotionPipeline.from_pretrained(model=model)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A second of motion."""
    speech = read_audio(SPEECH)[8000:24000]
    sound = write_wav(tmp_path_factory.mktemp("sound") / "speech.wav", speech)
    photo = fitted_portrait(160)
    motion = MotionPipeline.from_pretrained()(read_audio(sound), photo=photo, seed=2)
    return Generated(photo, motion, sound, Settings(max_size=160))


@pytest.fixture
def editor(made, tmp_path):
    workspace = Workspace(tmp_path / "visitor", 10**9)
    page = SimpleNamespace(workspace=workspace, name="page")
    studio = SimpleNamespace(
        engine=EditEngine(), limits=Limits(seconds=2.0), notes=Notes(), url=lambda path, page: f"/files/{path.name}"
    )
    return Editor.of_generated(studio, page, made)


def draw(editor):
    told = Told()
    editor.draw(told, editor.turn)
    return told.steps


def frames_of(path):
    with av.open(str(path)) as video:
        assert video.streams.audio
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(int)


def test_operations_change_the_edit_the_state_and_the_video(editor):
    assert len(draw(editor)) == 25 and editor.is_drawn
    before, kept = frames_of(editor.drawn.files["mp4"]), [*editor.cache.frames(editor.session.original)]
    state = json.loads(json.dumps(editor.state()))
    assert state["frames"] == 25 and state["drawn"] and state["rendered"] == "25 of 25 frames rendered"
    assert [lane["name"] for lane in state["lanes"]] == ["gap", "smile", "brows", "closed", "yaw", "pitch", "roll"]
    assert state["undo"] is None and len(state["waveform"]) == 100
    editor.apply({"op": "put", "curve": "gap", "frame": 5, "value": 16})
    assert not editor.is_drawn and editor.message == "New key: Mouth opening, 0.20 s"
    assert draw(editor)[-1] == ("rendering 13 of 25 frames", 13, 13)
    after = frames_of(editor.drawn.files["mp4"])
    assert np.abs(after - before)[5].max() > 60
    differ = [not np.array_equal(*pair) for pair in zip(kept, editor.cache.frames(editor.session.now.motion))]
    assert np.flatnonzero(differ).tolist() == [*range(13)]
    assert editor.drawn.files["csv"].read_text().splitlines()[1:] == ["0.20,lips,gap=16"]
    assert np.array_equal(Motion.load(editor.drawn.files["npz"]).expression, editor.session.now.motion.expression)
    state = editor.state()
    assert state["lanes"][0]["keys"] == [[5, 16]] and state["undo"].startswith("new key")
    assert state["lanes"][0]["values"][5] == pytest.approx(16, abs=0.02)
    assert state["lanes"][0]["before"] == pytest.approx(editor.view.original["gap"].round(2), abs=0.006)
    editor.apply({"op": "put", "curve": "gap", "frame": 9, "value": 3, "from": 5})
    editor.apply({"op": "lock", "start": 0, "stop": 4})
    editor.apply({"op": "undo"})
    editor.apply({"op": "undo"})
    assert editor.message == "Undone: move of a key: Mouth opening, 0.36 s"
    assert not [step for step in draw(editor) if step[0].startswith("rendering")]  # all frames are there
    assert editor.before.exists() and len([*editor.page.workspace.folder.rglob("*.mp4")]) == 2


def test_models_generate_cut_and_insert(editor, made):
    editor.generate({"op": "regenerate", "start": 8, "stop": 20}, Told())
    assert editor.message == "New motion in 0.32 to 0.80 s" and editor.seed == 1
    editor.generate({"op": "cut", "start": 20, "stop": 25}, Told())
    assert len(editor.session.now.motion) == 20
    more = editor.page.workspace.of_name("more.wav")
    write_wav(more, read_audio(SPEECH)[:6400])
    editor.generate({"op": "insert", "frame": 10, "path": str(more)}, Told())
    state = editor.state()
    assert state["frames"] == 30 and state["undo"] == "insert of 0.40 s at 0.40 s" and state["lanes"][0]["before"] == []
    draw(editor)
    assert len(frames_of(editor.drawn.files["mp4"])) == 30
    long = editor.page.workspace.of_name("long.wav")
    write_wav(long, np.zeros(25600))
    for path, saying in (
        (long, "longer than 2 seconds"),
        (made.sound, "none of yours"),
        ("/etc/passwd", "none of yours"),
    ):
        with pytest.raises(UsageError, match=saying):
            editor.generate({"op": "insert", "frame": 0, "path": str(path)}, Told())
    editor.apply({"op": "model", "name": "diface"})
    editor.generate({"op": "regenerate"}, Told())
    assert editor.session.now.what == "new motion in 0.00 to 1.20 s"


@pytest.mark.parametrize(
    "operation, saying",
    [({"op": "dance"}, "no operation 'dance'"), ({}, "no operation None"), ({"op": "delete"}, "None is no frame"),
     ({"op": "put", "curve": "gap", "frame": "3", "value": 1}, "'3' is no frame"),
     ({"op": "put", "curve": "__class__", "frame": 3, "value": 1}, "there is no curve"),
     ({"op": "lock", "start": 0, "stop": float("nan")}, "nan is no frame"), ({"op": "lock"}, "None is no frame"),
     ({"op": "model", "name": "../../x"}, "there is no motion model"),
     ({"op": "lock", "start": 9, "stop": 1e8}, "holds no frame")],
)  # fmt: skip
def test_operations_that_are_none(editor, operation, saying):
    before = editor.session.now
    with pytest.raises(UsageError, match=saying):
        editor.apply(operation)
    assert editor.session.now is before


def test_a_rendering_that_is_no_longer_wanted_stops_and_keeps_what_it_has_done(editor):
    def next_turn():
        editor.turn += 1

    with pytest.raises(Cancelled):
        editor.draw(Told(next_turn), editor.turn)
    assert not editor.is_drawn and 0 < editor.cache.missing(editor.session.now.motion) < 25
    assert not [*editor.page.workspace.folder.rglob("*.mp4")]
    draw(editor)
    assert 0 < editor.drawn.rendered < 25


def test_closing_leaves_no_files(editor):
    draw(editor)
    editor.apply({"op": "put", "curve": "yaw", "frame": 5, "value": 4})
    draw(editor)
    editor.close()
    assert not [path for path in editor.page.workspace.folder.rglob("*") if path.is_file()]


def test_what_is_not_seen_writes_no_video(editor):
    draw(editor)
    video = editor.drawn.files["mp4"]
    editor.apply({"op": "lock", "start": 0, "stop": 4})
    assert editor.is_drawn and editor.state()["rendered"] == ""
    editor.apply({"op": "unlock", "start": 0, "stop": 2})
    editor.apply({"op": "undo"})
    assert editor.is_drawn
    gap = editor.state()["lanes"][0]["values"][10]
    editor.apply({"op": "put", "curve": "gap", "frame": 10, "value": gap + 4})
    assert not editor.is_drawn
    editor.apply({"op": "undo"})
    assert editor.is_drawn and editor.drawn.files["mp4"] is video


def test_a_cut_of_sound_is_heard_where_the_face_rests(editor):
    draw(editor)
    editor.generate({"op": "cut", "start": 20, "stop": 25}, Told())
    assert not editor.is_drawn


@pytest.mark.parametrize("kind", ["undo", "redo"])
def test_a_click_too_many_is_no_mistake(editor, kind):
    before = editor.session.now
    editor.apply({"op": kind})
    assert editor.message == f"There is nothing to {kind}" and not editor.error and editor.session.now is before


def test_what_was_downloaded_can_be_closed_without_a_question(editor):
    draw(editor)
    assert not editor.state()["unsaved"]  # nothing was changed
    editor.apply({"op": "put", "curve": "gap", "frame": 5, "value": 16})
    draw(editor)
    editor.downloaded(editor.drawn.files["csv"])  # the keys alone are not the edit
    assert editor.state()["unsaved"]
    editor.downloaded(editor.drawn.files["mp4"])
    assert not editor.state()["unsaved"]
    editor.apply({"op": "lock", "start": 0, "stop": 4})
    assert editor.state()["unsaved"]
    editor.downloaded(editor.drawn.files["npz"])  # the video is the same, and locked by now
    assert not editor.state()["unsaved"]
    editor.apply({"op": "undo"})
    assert editor.state()["unsaved"]
    editor.apply({"op": "redo"})
    assert not editor.state()["unsaved"]


def test_closing_removes_inserted_sound(editor):
    more = editor.page.workspace.of_name("more.wav")
    write_wav(more, read_audio(SPEECH)[:6400])
    editor.generate({"op": "insert", "frame": 10, "path": str(more)}, Told())
    draw(editor)
    editor.close()
    assert not [path for path in editor.page.workspace.folder.rglob("*") if path.is_file()]


def test_a_style_is_taken_by_models_that_take_one(editor, monkeypatch):
    assert editor.state()["styles"] == []
    with pytest.raises(UsageError, match="no style 'calm' .there are: none."):
        editor.apply({"op": "style", "name": "calm"})
    editor.apply({"op": "model", "name": "diffposetalk"})
    state = editor.state()
    assert state["style"] == "" and state["styles"][0] == ["", "As before"] and ["calm", "calm"] in state["styles"]
    for name in ("../../x", "The model's own", 7):
        with pytest.raises(UsageError, match="there is no style"):
            editor.apply({"op": "style", "name": name})
    given = []
    monkeypatch.setattr(editor.session, "regenerate", lambda *_, style=None, **__: given.append(style and style.name))
    editor.generate({"op": "regenerate"}, Told())
    editor.apply({"op": "style", "name": "calm"})
    editor.generate({"op": "regenerate"}, Told())
    assert editor.message.endswith(", style calm")
    editor.apply({"op": "model", "name": "fd2talk"})
    editor.generate({"op": "regenerate"}, Told())
    assert given == [None, "calm", None] and editor.state()["style"] == ""
    editor.apply({"op": "model", "name": "diffposetalk"})
    assert editor.state()["style"] == "calm"  # it was only put aside


def test_the_style_of_a_video_is_chosen_at_first(made, editor):
    named = replace(made, settings=replace(made.settings, model="diffposetalk", style="lively"))
    assert Editor.of_generated(editor.studio, editor.page, named).state()["style"] == "lively"
    clip = replace(made, settings=replace(made.settings, model="diffposetalk", style=made.sound))
    assert Editor.of_generated(editor.studio, editor.page, clip).state()["style"] == ""


def test_the_page_knows_how_much_sound_has_room(editor):
    assert editor.state()["room"] == 1.0  # of two seconds
