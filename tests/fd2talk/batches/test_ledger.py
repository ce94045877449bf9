from dataclasses import replace

import pytest

from fd2talk.batches.job import Job
from fd2talk.batches.ledger import Entry, Ledger
from shared.weights import sha256

JOB = Job("1", "p", "a", "x.mp4", {}, {"seed": "7", "photo": "aa"}, "d1")


@pytest.fixture
def video(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"video")
    return tmp_path / "x.mp4"


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def entry(video, **changes):
    return replace(Entry("x.mp4", "d1", JOB.facts, sha256(video), "run", 1.0, 2.0, "here:1"), **changes)


def test_processes_write_files_of_their_own_and_read_all(journal, video):
    one, two, reader = Ledger(journal), Ledger(journal), Ledger(journal)
    assert reader.find(JOB, video) is None
    one.append(entry(video, digest="d0"))
    two.append(entry(video, notes=["ü"]))
    assert reader.find(JOB, video) == entry(video, notes=["ü"])  # written after the reader was made, and read
    assert len([*journal.iterdir()]) == 2


def test_a_job_is_done_when_its_file_is_what_was_made(journal, video):
    Ledger(journal).append(entry(video))
    assert Ledger(journal).find(JOB, video)
    assert Ledger(journal).find(replace(JOB, digest="d2"), video) is None
    assert Ledger(journal).find(replace(JOB, output="y.mp4"), video) is None
    video.write_bytes(b"other")
    assert Ledger(journal).find(JOB, video) is None
    video.unlink()
    assert Ledger(journal).find(JOB, video) is None


def test_a_line_that_was_not_finished_counts_for_nothing(journal, video):
    ledger, reader = Ledger(journal), Ledger(journal)
    ledger.append(entry(video))
    (path,) = journal.iterdir()
    line = path.read_bytes()
    path.write_bytes(line[:-9])
    assert reader.find(JOB, video) is None
    path.write_bytes(line)  # it was being written
    assert reader.find(JOB, video)
    path.write_bytes(b"\0\0\0\nnull\n[]\n{}\n" + line)
    assert Ledger(journal).find(JOB, video)


def test_why_a_file_is_not_the_one_that_is_wanted(journal, video):
    ledger = Ledger(journal)
    assert ledger.difference(JOB, video) == "no batch made it"
    ledger.append(entry(video))
    other = replace(JOB, digest="d2", facts={"seed": "8", "photo": "bb", "pose_scale": "1"})
    assert ledger.difference(other, video) == "made with another photo, pose scale, seed"
    video.write_bytes(b"edited")
    assert ledger.difference(other, video) == "it has been changed since it was made"
