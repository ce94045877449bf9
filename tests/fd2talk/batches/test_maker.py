import os
from dataclasses import replace
from pathlib import Path

import pytest
from stub_generator import FRAMES, StubGenerator, calls

from fd2talk.batches.job import FAILED, KEPT, MADE
from fd2talk.batches.ledger import Ledger
from fd2talk.batches.maker import Maker
from fd2talk.batches.manifest import read_manifest
from fd2talk.batches.plan import plan
from fd2talk.provenance.manifest import read_manifest as read_manifest_of
from shared.media import read_video


@pytest.fixture
def jobs(table, settings):
    def jobs(*rows, header="photo,audio,seed"):
        return plan(read_manifest(str(table(*rows, header=header))), Path(settings.out), "bundled")

    return jobs


def left(settings):
    return [*settings.parts.iterdir()]


def brightness(path):
    return round(next(read_video(path)).mean())


def test_a_video_is_made_once(jobs, settings, tmp_path):
    (job,) = jobs("in/a.png,in/a.wav,9")
    told = []
    outcome = Maker(settings)(job, lambda *what: told.append(what))
    video = tmp_path / "out" / "a-a-seed-9.mp4"
    assert (outcome.state, outcome.error, outcome.output) == (MADE, "", video.name)
    assert outcome.video_seconds == pytest.approx(FRAMES / 25) and outcome.work_seconds > 0
    assert outcome.worker.endswith(f":{os.getpid()}") and told[-1] == ("rendering", FRAMES, FRAMES)
    assert abs(brightness(video) - 90) < 4 and not left(settings)
    assert (settings.state / "thumbnails" / f"{job.digest}.jpg").read_bytes()[:2] == b"\xff\xd8"
    before = video.stat()
    again = Maker(settings)(job)
    assert again == replace(outcome, state=MADE) and calls(tmp_path / "in") == 1
    later = Maker(replace(settings, run="later"))
    settings.parts.with_name("later").mkdir()
    assert later(job).state == KEPT and video.stat() == before


def test_videos_are_signed_and_who_signs_them_is_part_of_what_they_are(table, settings, signer):
    rows, out = read_manifest(str(table("in/a.png,in/a.wav,9", header="photo,audio,seed"))), Path(settings.out)
    (plain,), (job,) = plan(rows, out, "bundled"), plan(rows, out, "bundled", signer)
    assert Maker(settings)(plain).state == MADE
    refused = Maker(replace(settings, signer=signer))(job)
    assert refused.state == FAILED and "--overwrite replaces it" in refused.error
    assert Maker(replace(settings, signer=signer, overwrite=True))(job).state == MADE
    manifest = read_manifest_of(out / job.output)
    assert manifest.intact and manifest.signer == "Anna" and manifest.title == job.output


def test_models_are_loaded_once(jobs, settings):
    loaded = []

    def load(*what):
        loaded.append(what)
        return StubGenerator()

    make = Maker(replace(settings, generator=load, weights="w", device="d", threads=3))
    assert not loaded
    assert [make(job).state for job in jobs("in/a.png,in/a.wav,1", "in/b.png,in/a.wav,2")] == [MADE, MADE]
    assert loaded == [("w", "d", 3)]


@pytest.mark.parametrize(
    ("name", "saying"), [("faceless", "no face found in the photo"), ("bug", "unexpected ZeroDivisionError: division")]
)
def test_what_fails_is_said_and_leaves_nothing(jobs, settings, tmp_path, name, saying):
    (job,) = jobs(f"in/{name}.png,in/a.wav,")
    outcome = Maker(settings)(job)
    assert outcome.state == FAILED and saying in outcome.error and "\n" not in outcome.error
    assert outcome.output == f"{name}-a.mp4" and not (tmp_path / "out" / outcome.output).exists()
    assert not left(settings)
    traces = [*settings.state.glob("error-*.txt")]
    assert len(traces) == (name == "bug") and all("Traceback" in path.read_text() for path in traces)


def test_notes_are_kept(jobs, settings):
    (job,) = jobs("in/noisy.png,in/a.wav,")
    assert Maker(settings)(job).notes == ["the photo was reduced"]
    assert Maker(settings)(job).notes == ["the photo was reduced"]


def test_what_somebody_else_put_there_is_replaced_only_if_asked(jobs, settings, tmp_path):
    (job,) = jobs("in/a.png,in/a.wav,5")
    video = tmp_path / "out" / job.output
    video.write_bytes(b"precious")
    outcome = Maker(settings)(job)
    assert outcome.state == FAILED and "exists (no batch made it); --overwrite replaces it" in outcome.error
    assert video.read_bytes() == b"precious" and calls(tmp_path / "in") == 0
    assert Maker(replace(settings, overwrite=True))(job).state == MADE and abs(brightness(video) - 50) < 4
    (other,) = jobs("in/a.png,in/a.wav,6", header="photo,audio,seed")
    other = replace(other, output=job.output)
    assert "made with another seed" in Maker(settings)(other).error
    assert Maker(replace(settings, overwrite=True))(other).state == MADE and abs(brightness(video) - 60) < 4


@pytest.mark.parametrize("links", [True, False])
def test_of_two_that_make_the_same_one_gives_the_name(jobs, settings, tmp_path, monkeypatch, links):
    """A computer that was thought dead finishes while another one makes its video again."""
    (job,) = jobs("in/a.png,in/a.wav,5")
    if not links:  # as on some network file systems
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
    video, made, contents = tmp_path / "out" / job.output, [], []

    class Slower(StubGenerator):
        def write(self, request, path, *, progress=None, signer=None):
            super().write(request, path, progress=progress)
            if not made:
                made.append(None)
                made.append(Maker(settings)(job))
                contents.append(video.stat().st_ino)

    outcome = Maker(replace(settings, generator=Slower))(job)
    assert made[1].state == outcome.state == MADE and made[1].digest == outcome.digest
    assert video.stat().st_ino == contents[0] and calls(tmp_path / "in") == 2 and not left(settings)


def test_a_name_that_is_taken_meanwhile_is_not_replaced(jobs, settings, tmp_path):
    (job,) = jobs("in/a.png,in/a.wav,5")
    video = tmp_path / "out" / job.output

    class Late(StubGenerator):
        def write(self, request, path, *, progress=None, signer=None):
            super().write(request, path, progress=progress)
            video.write_bytes(b"precious")

    outcome = Maker(replace(settings, generator=Late))(job)
    assert outcome.state == FAILED and "exists" in outcome.error and video.read_bytes() == b"precious"
    assert not left(settings)


def test_killed_between_note_and_name_it_is_made_again(jobs, settings, tmp_path, monkeypatch):
    (job,) = jobs("in/a.png,in/a.wav,5")

    class Killed(BaseException):
        pass

    append = Ledger.append

    def killed(ledger, entry):
        append(ledger, entry)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Ledger, "append", killed)
        Maker(settings)(job)
    assert not (tmp_path / "out" / job.output).exists()
    assert Maker(settings)(job).state == MADE and calls(tmp_path / "in") == 2


def test_folders_of_outputs_are_created_and_a_lost_folder_is_one_row_s_failure(jobs, settings, tmp_path):
    (job,) = jobs("in/a.png,in/a.wav,deep/er/x.mp4", header="photo,audio,output")
    assert Maker(settings)(job).state == MADE and (tmp_path / "out/deep/er/x.mp4").is_file()
    (job,) = jobs("in/a.png,in/a.wav,file/x.mp4", header="photo,audio,output")
    (tmp_path / "out" / "file").write_text("no folder")
    assert "cannot write file/x.mp4" in Maker(settings)(job).error
