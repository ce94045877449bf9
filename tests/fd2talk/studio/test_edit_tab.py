"""What the tab does when it is opened, when another video is chosen, and when there are newer ones."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from material import SPEECH, fitted_portrait, write_wav

pytest.importorskip("gradio", reason="the extra studio is not installed")

from studio_client import SmallEngine  # noqa: E402

from fd2talk.studio import edit_tab  # noqa: E402
from fd2talk.studio.generation import Generated, Settings  # noqa: E402
from fd2talk.studio.jobs import Finished  # noqa: E402
from fd2talk.studio.limits import Limits  # noqa: E402
from fd2talk.studio.notes import Notes  # noqa: E402
from fd2talk.studio.workspace import Workspace  # noqa: E402
from shared.errors import UsageError  # noqa: E402
from shared.media import read_audio  # noqa: E402
from stage1_motion.pipeline import MotionPipeline  # noqa: E402


class Visit:
    """A page without a browser: what it was shown last."""

    def __init__(self, folder):
        workspace = Workspace(folder, 10**9)
        self.page = SimpleNamespace(
            workspace=workspace, name="page", session="first", photo=None, generated=[], edit=None
        )
        self.studio = SimpleNamespace(
            engine=SmallEngine(), limits=Limits(), notes=Notes(), url=lambda path, page: f"/files/{path.name}",
            run=self._run, stop=lambda page, *doing: None, follow=lambda page, doing: None,
        )  # fmt: skip
        self.choices, self.chosen, self.said, self.state, self.closed = [], None, "", {}, None

    def _run(self, page, work, *_, **__):
        yield Finished(work(lambda *told: None))

    def follow(self, steps):
        for choices, said, state in steps:
            if "choices" in choices:
                self.choices, self.chosen = choices["choices"], choices["value"]
            self.said = said if isinstance(said, str) else self.said
            self.state = state if "lanes" in state else self.state
            self.closed = {key: state[key] for key in state if key != "revision"} if "frames" in state else None

    def select(self):
        self.follow(edit_tab._selected(self.studio, self.page))

    def choose(self, number):
        self.follow(edit_tab._shown(self.studio, self.page, self.page.edit.find(number)))

    def do(self, **operation):
        self.follow(edit_tab._edited(self.studio, self.page, operation))

    @property
    def keys(self):
        return self.state["lanes"][0]["keys"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four of a third of a second, without files."""
    sound = write_wav(tmp_path_factory.mktemp("sound") / "speech.wav", read_audio(SPEECH)[8000:13120])
    photo = fitted_portrait(160)
    motion = MotionPipeline.from_pretrained()(read_audio(sound), photo=photo, seed=2)
    return [
        Generated(photo, motion, sound, Settings(max_size=128, renderer="geometry", seed=seed)) for seed in range(4)
    ]


@pytest.fixture
def visit(tmp_path):
    return Visit(tmp_path / "visitor")


def test_edits_of_both_videos_stay_while_the_other_is_shown(visit, videos):
    visit.page.generated[:] = videos[:2]
    visit.select()
    assert [title[-6:] for title, _ in visit.choices] == ["seed 0", "seed 1"] and visit.state["drawn"]
    visit.do(op="put", curve="gap", frame=3, value=9, sequence=1)
    visit.choose(2)
    assert visit.keys == [] and visit.chosen == 2 and visit.state["undo"] is None
    visit.do(op="put", curve="gap", frame=5, value=4, sequence=2)
    visit.choose(1)
    assert visit.keys == [[3, 9]] and visit.state["undo"].startswith("new key") and visit.state["drawn"]
    assert visit.state["acknowledged"] == 2  # operations are counted on the page, not for each video
    visit.select()  # another visit of the tab changes nothing
    assert visit.chosen == 1 and visit.keys == [[3, 9]]
    visit.choose(2)
    assert visit.keys == [[5, 4]]


def test_a_newer_video_is_offered_beside_an_edit_and_opened_where_there_is_none(visit, videos):
    visit.page.generated[:] = videos[:1]
    visit.select()
    first = visit.state["editor"]
    visit.page.generated[:] = videos[1:2]
    visit.select()
    assert visit.state["editor"] != first and len(visit.choices) == 1 and visit.said == ""
    visit.do(op="put", curve="gap", frame=3, value=9)
    visit.page.generated[:] = videos[2:3]
    visit.select()
    assert "A newer video is there: " in visit.said and "seed 2" in visit.said
    assert visit.keys == [[3, 9]] and visit.chosen == visit.state["editor"] == 2 and len(visit.choices) == 2
    visit.choose(3)
    assert visit.said == "" and visit.keys == []
    visit.choose(2)
    assert visit.keys == [[3, 9]]


def test_an_opened_file_stays(visit, videos):
    visit.page.generated[:] = videos[:1]
    visit.page.photo = SimpleNamespace(fit=videos[0].photo)
    visit.select()
    path = visit.page.workspace.of_name("mine.npz")
    videos[0].motion.save(path)
    visit.follow(edit_tab._of_files(visit.studio, visit.page, None, str(path)))
    assert [title for title, _ in visit.choices][1] == "mine.npz" and visit.chosen == 2
    visit.select()
    assert visit.chosen == visit.state["editor"] == 2
    visit.page.generated[:] = videos[1:2]
    visit.select()
    assert visit.state["editor"] == 2 and "A newer video" in visit.said


def test_an_operation_belongs_to_the_video_that_was_shown_when_it_was_sent(visit, videos):
    visit.page.generated[:] = videos[:2]
    visit.select()
    visit.choose(2)
    visit.do(op="put", curve="gap", frame=3, value=9, editor=1, sequence=7)
    assert visit.state["editor"] == 2 and visit.keys == [] and visit.state["acknowledged"] == 7
    visit.choose(1)
    assert visit.keys == [[3, 9]]
    visit.do(op="undo", editor=99)
    assert "no longer there" in visit.state["error"] and visit.keys == [[3, 9]]
    with pytest.raises(UsageError, match="no longer there"):
        visit.choose(99)


def test_the_last_edits_are_not_closed_without_a_word(visit, videos):
    visit.page.generated[:] = videos
    visit.select()
    for number in (1, 2, 3):
        visit.choose(number)
        visit.do(op="lock", start=0, stop=2)
    visit.choose(4)
    assert "seed 0 was closed with its edits: 3 videos can be edited at a time" in visit.state["message"]
    visit.do(op="lock", start=0, stop=2)
    visit.choose(1)
    assert visit.state["locks"] == [] and "seed 1 was closed" in visit.state["message"]


def test_a_closed_edit_leaves_no_memory_and_no_files(visit, videos):
    visit.page.generated[:] = videos[:1]
    visit.select()
    visit.do(op="put", curve="gap", frame=3, value=9, sequence=1)
    assert [path for path in visit.page.workspace.folder.rglob("*") if path.is_file()]
    held = weakref.ref(visit.page.edit.editor)
    visit.do(op="close", editor=1, sequence=2)
    assert visit.closed == {"frames": 0, "acknowledged": 2, "message": "Closed: FD2Talk, seed 0", "error": ""}
    assert visit.chosen is None and [number for _, number in visit.choices] == [1]  # it can be chosen again
    assert not [path for path in visit.page.workspace.folder.rglob("*") if path.is_file()]
    visit.state = {}
    gc.collect()
    assert held() is None
    with pytest.raises(UsageError, match="generate a video first"):
        visit.do(op="undo", editor=1)
    visit.choose(1)
    assert visit.keys == [] and visit.state["drawn"]


def test_another_edit_is_shown_when_one_is_closed(visit, videos):
    visit.page.generated[:] = videos[:2]
    visit.select()
    visit.do(op="put", curve="gap", frame=3, value=9)
    visit.choose(2)
    visit.do(op="close", editor=2)
    assert visit.chosen == 1 and visit.keys == [[3, 9]] and visit.state["message"].startswith("Closed: ")
    visit.do(op="close", editor=99)
    assert "no longer there" in visit.state["error"] and visit.chosen == 1
