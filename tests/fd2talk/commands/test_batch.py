"""`fd2talk batch`: what stays, what is made, and what is said."""

import signal

import pytest
from batch_tables import read_report, write_table
from material import portrait
from said import said
from stub_commands import stub_commands, wait_for
from stub_generator import StubGenerator, calls, release

from fd2talk.batches.maker import Maker
from fd2talk.commands.batch import batch
from shared.errors import Fd2TalkError, UsageError
from shared.media import read_video

TWO = ("in/a.png,in/a.wav,1", "in/b.png,in/a.wav,2")
SEED = "photo,audio,seed"


@pytest.fixture
def table(tmp_path, photo, audio):
    """Writes a manifest, with the files that it names."""
    return lambda *rows, **names: write_table(tmp_path, photo, audio, rows, **names)


def at_once(jobs, settings, workers):
    """What processes do, in this one."""
    yield from map(Maker(settings), jobs)


@pytest.fixture
def here(monkeypatch):
    """Makes videos in this process: another one takes a second to start."""
    monkeypatch.setattr("fd2talk.batches.run.in_workers", at_once)


@pytest.fixture
def made(tmp_path):
    """Runs the command with the stub, and returns the rows of its report by number."""

    def made(manifest, **options):
        batch(str(manifest), str(tmp_path / "out"), **{"workers": 1, "generator": StubGenerator, **options})
        return read_report(tmp_path / "out")

    return made


@pytest.fixture
def started(tmp_path):
    """Starts the command line with the stub, as a process."""
    with stub_commands(tmp_path) as start:
        yield start


def brightness(path):
    return round(next(read_video(path)).mean(), -1)


def test_all_rows_and_a_report(table, made, tmp_path, capsys):
    rows = made(table(*TWO, "in/*.png,in/a.wav,3", header=SEED), workers=2)
    assert {number: (row["state"], row["output"]) for number, row in rows.items()} == {
        "2": ("made", "a-a-seed-1.mp4"),
        "3": ("made", "b-a-seed-2.mp4"),
        "4.1": ("made", "a-a-seed-3.mp4"),
        "4.2": ("made", "b-a-seed-3.mp4"),
    }
    for row in rows.values():
        assert brightness(tmp_path / "out" / row["output"]) == 10 * int(row["output"][-5])
        assert float(row["video_seconds"]) == 0.4 and float(row["work_seconds"]) > 0 and not row["error"]
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/out/report.html\n" and "4 videos made" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".fd2talk-batch", *sorted(row["output"] for row in rows.values()), "report.csv", "report.html",
    ]  # fmt: skip
    assert not [*(tmp_path / "out" / ".fd2talk-batch" / "parts").iterdir()]


def test_one_bad_row_stops_no_other(table, here, tmp_path, capsys):
    rows = (*TWO, "in/faceless.png,in/a.wav,3", "in/none.jpg,in/a.wav,4", "in/c.png,in/a.wav,many", "in/d.png,,")
    with pytest.raises(Fd2TalkError, match=r"4 of 6 rows failed, see .*out/report.csv") as raised:
        batch(str(table(*rows, header=SEED)), str(tmp_path / "out"), workers=1, generator=StubGenerator)
    assert raised.value.exit_code == 1
    found = read_report(tmp_path / "out")
    assert [found[str(n)]["state"] for n in range(2, 8)] == ["made", "made", "failed", "failed", "failed", "failed"]
    errors = [found[str(n)]["error"] for n in range(4, 8)]
    sayings = [
        "no face found",
        "there is no such file",
        "seed: 'many' is no whole number from 0 on",
        "no audio is named",
    ]
    assert all(saying in error for saying, error in zip(sayings, errors, strict=True))
    err = capsys.readouterr().err
    assert all(f"row {n} fails: {error}" in err for n, error in zip(range(4, 8), errors, strict=True))


def test_what_is_done_is_not_made_again(table, made, here, tmp_path, photo):
    first = made(table(*TWO, header=SEED))
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.mp4")}
    (tmp_path / "renamed.png").write_bytes(photo.read_bytes())
    rows = ("renamed.png,in/a.wav,b-a-seed-2.mp4,02", "in/c.png,in/a.wav,c,3")
    again = made(table(*rows, header="photo,audio,output,seed"))
    assert [again[n]["state"] for n in "23"] == ["kept", "made"] and calls(tmp_path / "in") == 3
    assert again["2"]["work_seconds"] == first["3"]["work_seconds"]
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in times} == times


def test_what_has_changed_is_said_and_replaced_only_if_asked(table, made, here, tmp_path):
    header = "photo,audio,output,seed"
    made(table("in/a.png,in/a.wav,x,1", "in/b.png,in/a.wav,y,2", header=header))
    changed = table("in/a.png,in/a.wav,x,8", "in/b.png,in/a.wav,y,2", "in/a.png,in/a.wav,z,3", header=header)
    portrait(64).save(tmp_path / "in" / "b.png")
    with pytest.raises(Fd2TalkError, match="2 of 3 rows failed"):
        made(changed)
    found = read_report(tmp_path / "out")
    assert found["2"]["error"] == "x.mp4 exists (made with another seed); --overwrite replaces it"
    assert found["3"]["error"] == "y.mp4 exists (made with another photo); --overwrite replaces it"
    assert brightness(tmp_path / "out" / "x.mp4") == 10
    again = made(changed, overwrite=True)
    assert [again[n]["state"] for n in "234"] == ["made", "made", "kept"]
    assert brightness(tmp_path / "out" / "x.mp4") == 80
    assert [made(changed, overwrite=True)[n]["state"] for n in "234"] == ["kept"] * 3  # nothing changed since


def test_rows_change_places_and_everything_stays(table, made, here, tmp_path, photo):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.png").write_bytes(photo.read_bytes())
    rows = ("in/a.png,in/a.wav,1", "more/a.png,in/a.wav,1", "in/*.png,in/a.wav,3")
    made(table(*rows, header=SEED))
    again = made(table(*reversed(rows), header=SEED))
    assert {row["state"] for row in again.values()} == {"kept"} and calls(tmp_path) == 0


def test_a_folder_of_recordings_may_be_the_folder_of_the_videos(table, made, here, tmp_path, audio):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hello.wav").write_bytes(audio.read_bytes())
    manifest = table("in/a.png,in/a.wav,9", "in/*.png,out,1", "in/*.png,out/**/*,2", header=SEED)
    names = ["a-a-seed-9.mp4", "a-hello-seed-1.mp4", "a-hello-seed-2.mp4"]
    for state in ("made", "kept"):
        rows = made(manifest)
        assert [(row["output"], row["state"]) for row in rows.values()] == [(name, state) for name in names]


def test_the_report_replaces_no_file_of_somebody_else(table, made, here, tmp_path):
    manifest = table("in/a.png,in/a.wav", name="report.csv")
    with pytest.raises(UsageError, match="report.csv: the report would replace it"):
        batch(str(manifest), str(tmp_path), workers=1, generator=StubGenerator)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    with pytest.raises(UsageError, match="report.html: no batch wrote it"):
        made(manifest)
    assert calls(tmp_path / "in") == 0 and (tmp_path / "out" / "report.html").read_text() == "mine"
    assert [*(tmp_path / "out").iterdir()] == [tmp_path / "out" / "report.html"]
    assert made(manifest, overwrite=True)["2"]["state"] == "made"
    assert made(manifest)["2"]["state"] == "kept"


def test_two_runs_at_once_are_refused(table, made, started, tmp_path):
    manifest = table("in/held.png,in/a.wav")
    running = started(manifest, "-o", tmp_path / "out", "--workers", 1)
    wait_for(lambda: calls(tmp_path / "in"))
    with pytest.raises(UsageError, match=rf"another `fd2talk batch` is writing to .*out \(process {running.pid} on"):
        made(manifest)
    release(tmp_path / "in")
    out, err = running.communicate(timeout=600)
    assert running.returncode == 0 and out == f"{tmp_path}/out/report.html\n", err
    assert made(manifest)["2"]["state"] == "kept"


def test_ctrl_c_leaves_whole_videos_and_a_report(table, started, tmp_path):
    manifest = table("in/a.png,in/a.wav", "in/held.png,in/a.wav", "in/held2.png,in/a.wav")
    running = started(manifest, "-o", tmp_path / "out", "--workers", 1)
    wait_for(lambda: calls(tmp_path / "in") == 2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=600)
    assert running.returncode == 130 and said(err) == ["fd2talk: interrupted"] and out == ""
    found = read_report(tmp_path / "out")
    assert [found[n]["state"] for n in "234"] == ["made", "not made", "not made"]
    assert [path.name for path in (tmp_path / "out").glob("**/*.mp4")] == ["a-a.mp4"]


@pytest.mark.parametrize(
    ("text", "saying"),
    [("photo,sound\na,b\n", "no column audio"), ("photo,audio,sead\na,b,1\n", "no option sead"), ("", "no rows")],
)
def test_a_bad_table_is_one_line(refused, tmp_path, text, saying):
    (tmp_path / "m.csv").write_text(text)
    refused("batch", tmp_path / "m.csv", "-o", tmp_path / "out", folder=tmp_path, saying=saying)


def test_bad_options_are_one_line(refused, table, tmp_path):
    manifest = table("in/a.png,in/a.wav", "in/none.png,in/none.wav")  # the address is refused before any row is
    (tmp_path / "in" / "none.png").unlink()
    (tmp_path / "c.yaml").write_text("sead: 1")
    (tmp_path / "file").touch()
    for options, saying in [
        (("--config", tmp_path / "c.yaml"), "no option sead"),
        (("--weights", tmp_path / "none"), "no such folder of weights"),
        (("--device", "abacus"), "'abacus' is not available"),
        (("--workers", 0), "--workers"),
        (("--address", "127.0.0.1:1"), "no Ray cluster at 127.0.0.1:1"),
    ]:
        refused("batch", manifest, "-o", tmp_path / "out", *options, folder=tmp_path, saying=saying)
    refused("batch", manifest, "-o", tmp_path / "file", folder=tmp_path, saying="cannot write to")


def test_a_cluster_that_is_not_there_is_all_that_is_said(table, made, here, tmp_path, monkeypatch, capsys):
    def nowhere(*_):
        raise UsageError("no Ray cluster at auto")
        yield

    monkeypatch.setattr("fd2talk.batches.run.in_cluster", nowhere)
    pytest.importorskip("ray")
    manifest = table("in/a.png,in/a.wav", "in/none.jpg,in/a.wav")
    with pytest.raises(UsageError, match="no Ray cluster"):
        made(manifest, address="auto")
    assert capsys.readouterr().err == "" and not (tmp_path / "out").exists()
    with pytest.raises(Fd2TalkError, match="1 of 1 rows failed"):
        made(table("in/none.jpg,in/a.wav"))
    assert "row 2 fails: cannot read" in capsys.readouterr().err  # also where nothing is left to make


def test_a_cluster_needs_its_extra(refused, table, tmp_path, monkeypatch):
    monkeypatch.setattr("fd2talk.commands.batch.find_spec", lambda _: None)
    options = ("-o", tmp_path / "out", "--address", "auto")
    refused("batch", table("in/a.png,in/a.wav"), *options, folder=tmp_path, saying="pip install 'fd2talk[cluster]'")
