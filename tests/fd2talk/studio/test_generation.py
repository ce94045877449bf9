"""What the page makes is what the command line makes; the preview comes first."""

from pathlib import Path

import av
import numpy as np
import pytest
from material import portrait, write_wav
from studio_client import SmallEngine

from fd2talk import cli
from fd2talk.studio.engine import Engine
from fd2talk.studio.generation import PREVIEW_FRAMES, Generated, Settings, generate
from fd2talk.studio.jobs import Cancelled
from fd2talk.studio.limits import Limits
from fd2talk.studio.photos import Photo
from fd2talk.studio.workspace import Workspace
from shared.media import read_audio
from shared.motion import Motion

LIMITS = Limits()


class Told:
    """A report that keeps what it is told; it stops the work at a step of its name."""

    def __init__(self, until=None):
        self.steps, self.shown, self.until = [], [], until

    def __call__(self, what, done=0, total=0):
        self.steps.append((what, done, total))
        if what == self.until:
            raise Cancelled

    def show(self, value):
        self.shown.append((len(self.steps), _frames(value)))

    def check(self):
        pass


def _frames(path):
    with av.open(str(path)) as video:
        assert video.streams.audio
        return sum(1 for _ in video.decode(video=0))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "visitor", LIMITS.folder_bytes)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "p.png"
    portrait().save(path)
    return Photo.read(path, LIMITS)


def sound_of(tmp_path, seconds):
    from material import SPEECH

    speech = read_audio(SPEECH)
    return write_wav(tmp_path / "s.wav", np.resize(speech, round(seconds * 16000)))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(seed=3, expression_scale=1.3, pose_scale=0.5, max_size=128, renderer="geometry"),
        Settings(model="diffposetalk", style="calm", still=True, full=False, renderer="geometry"),
    ],
)
def test_the_command_line_makes_the_same(settings, photo, workspace, tmp_path):
    sound = sound_of(tmp_path, 0.8)
    made = generate(Engine(), workspace, photo.fit, sound, read_audio(sound), settings, Told())
    words = made.command.replace("PHOTO", str(photo.path)).replace("SPEECH", str(sound)).split()
    words[words.index("talk.mp4")] = str(tmp_path / "talk.mp4")
    assert cli.main(words[1:]) == 0
    assert made.files["mp4"].read_bytes() == (tmp_path / "talk.mp4").read_bytes()
    options = [word for word in words[6:] if word != "--crop"]
    for unneeded in ("--renderer", "--max-size"):
        if unneeded in options:
            del options[options.index(unneeded) : options.index(unneeded) + 2]
    motion = tmp_path / "m.npz"
    assert cli.main(["motion", str(sound), "-o", str(motion), "--photo", str(photo.path), *options]) == 0
    own = Motion.load(made.files["npz"])
    assert np.array_equal(own.expression, Motion.load(motion).expression) and len(own) == 20
    for kind in ("glb", "csv"):
        out, more = tmp_path / f"x.{kind}", ["--photo", str(photo.path)] if kind == "glb" else []
        assert cli.main(["export", str(made.files["npz"]), "-o", str(out), *more]) == 0
        assert abs(out.stat().st_size - made.files[kind].stat().st_size) < 0.02 * out.stat().st_size


@pytest.mark.parametrize(("seconds", "frames"), [(1.6, 40), (13.0, 325)])
def test_the_first_second_is_shown_before_the_rest_is_rendered(photo, workspace, tmp_path, seconds, frames):
    sound, told = sound_of(tmp_path, seconds), Told()
    settings = Settings(max_size=64)
    made = generate(SmallEngine(), workspace, photo.fit, sound, read_audio(sound), settings, told)
    ((step, length),) = told.shown
    assert length == PREVIEW_FRAMES and _frames(made.files["mp4"]) == frames
    rendered = max((done for what, done, _ in told.steps[:step] if what == "rendering"), default=0)
    assert rendered <= PREVIEW_FRAMES
    assert told.steps[-2:] == [("rendering", frames, frames), ("writing the files", 0, 0)]
    assert {path.suffix for path in workspace.folder.rglob("*.*")} == {".mp4", ".glb", ".csv", ".npz"}
    assert len([*workspace.folder.rglob("*.mp4")]) == 1  # the preview is gone


def test_a_job_that_stops_leaves_no_video(photo, workspace, tmp_path):
    sound = sound_of(tmp_path, 1.6)
    with pytest.raises(Cancelled):
        generate(
            SmallEngine(), workspace, photo.fit, sound, read_audio(sound), Settings(max_size=64), Told("rendering")
        )
    assert not [path for path in workspace.folder.rglob("*") if path.is_file()]


def test_the_command_names_what_was_chosen():
    settings = Settings(model="diffposetalk", style=Path("/x/clip.mp4"), still=True, full=False, seed=4)
    command = Generated(None, None, Path("s"), settings, face=2).command
    assert command == (
        "fd2talk generate PHOTO SPEECH -o talk.mp4 --face-index 2 --model diffposetalk --style clip.mp4 --seed 4 "
        "--still --crop"
    )


def test_videos_are_signed_where_the_studio_has_a_certificate(photo, workspace, tmp_path):
    pytest.importorskip("c2pa", reason="signing needs the extra provenance")
    from certificates import Authority

    from fd2talk.provenance.manifest import read_manifest
    from fd2talk.provenance.signer import Signer

    engine, sound = SmallEngine(), sound_of(tmp_path, 0.4)
    engine.signer = Signer.load(*Authority(tmp_path / "authority").signer("Studio"))
    made = generate(engine, workspace, photo.fit, sound, read_audio(sound), Settings(max_size=64), Told())
    found = read_manifest(made.files["mp4"])
    assert found.intact and found.signer == "Studio"
