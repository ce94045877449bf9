import os

import pytest
from material import portrait, write_wav

import fd2talk
from fd2talk.batches.job import FAILED, Job
from fd2talk.batches.manifest import read_manifest
from fd2talk.batches.plan import plan


@pytest.fixture
def planned(tmp_path):
    def planned(manifest, weights="bundled"):
        (tmp_path / "out").mkdir(exist_ok=True)
        return plan(read_manifest(str(manifest)), tmp_path / "out", weights)

    return planned


def outputs(jobs):
    return [job.output for job in jobs]


def test_names_say_what_is_in_the_video(planned, table):
    jobs = planned(
        table(
            "in/anna.png,in/hello.wav,,,",
            "in/anna.png,in/hello.wav,7,,",
            "in/anna.png,in/hello.wav,7,true,calm",
            "in/anna.png,in/hello.wav,,,in/s.v2.npz",
            header="photo,audio,seed,still,style",
        )
    )
    assert outputs(jobs) == [
        "anna-hello.mp4",
        "anna-hello-seed-7.mp4",
        "anna-hello-seed-7-still-style-calm.mp4",
        "anna-hello-style-s.v2.mp4",
    ]


def test_names_are_unique_and_stay_when_rows_are_added(planned, table, tmp_path, photo):
    for folder in ("p", "q", "r"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "anna.png").write_bytes(photo.read_bytes())
    rows = ["p/anna.png,in/a.wav", "q/anna.png,in/a.wav", "r/anna.png,in/a.wav"]
    first = outputs(planned(table(*rows[:2])))
    assert first[0] == "anna-a.mp4" and first[1].startswith("anna-a-") and len(first[1]) == len("anna-a-12345678.mp4")
    more = outputs(planned(table(*rows)))
    assert more[:2] == first and len(set(more)) == 3
    assert outputs(planned(table(rows[0], rows[2], rows[1]))) == [more[0], more[2], more[1]]


def test_names_hold_nothing_that_file_systems_refuse(planned, table, tmp_path, photo):
    long = "ü" * 90
    (tmp_path / f"{long}.png").write_bytes(photo.read_bytes())
    jobs = planned(table(f"{long}.png,in/a b.wav,0.5", ".hidden.png,in/a.wav,", header="photo,audio,pose-scale"))
    assert len(jobs[0].output.encode()) <= 104 and jobs[0].output.startswith("ü") and jobs[0].output.endswith(".mp4")
    (tmp_path / "in" / ".dot.png").write_bytes(photo.read_bytes())
    (job,) = planned(table("in/.dot.png,in/a b?.wav"))
    assert job.output == "dot-a_b_.mp4"


@pytest.mark.parametrize(
    ("output", "saying"),
    [
        ("../x.mp4", "must lie in the output folder"),
        ("a/../../x.mp4", "must lie in the output folder"),
        ("/tmp/x.mp4", "must lie in the output folder"),
        ("link/x.mp4", "must lie in the output folder"),
        ("x.avi", "must end in .mp4"),
        (".fd2talk-batch/x.mp4", "begin with a dot"),
    ],
)
def test_outputs_stay_in_their_folder(planned, table, tmp_path, output, saying):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").mkdir()
    os.symlink(tmp_path / "link", tmp_path / "out" / "link")
    rows = (f"in/a.png,in/a.wav,{output}", "in/a.png,in/a.wav,sub/good", "in/a.png,in/a.wav,")
    bad, named, other = planned(table(*rows, header="photo,audio,output"))
    assert bad.state == FAILED and saying in bad.error
    assert named.output == "sub/good.mp4" and other.output == "a-a.mp4"


def test_the_second_of_two_rows_with_one_output_fails(planned, table):
    rows = ("in/a.png,in/a.wav,x.mp4", "in/b.png,in/a.wav,X.MP4", "in/b.png,in/a.wav,x", "in/b.png,in/a.wav,y")
    first, second, third, fourth = planned(table(*rows, header="photo,audio,output"))
    assert isinstance(first, Job) and isinstance(fourth, Job)
    assert second.error == "output X.MP4: row 1 has the same" and third.error == "output x.mp4: row 1 has the same"


def test_every_row_is_checked(planned, table, tmp_path):
    manifest = table(
        "in/none.jpg,in/a.wav,",
        "in/a.png,in/none.mp3,",
        "in/a.png,in/text.txt,",
        "in/a.png,in/a.png,",
        "in/a.png,in/a.wav,many",
        "in/a.png,in/a.wav,3",
        header="photo,audio,seed",
    )
    (tmp_path / "in" / "text.txt").write_text("hello " * 99)
    rows = planned(manifest)
    sayings = ["in/none.jpg: there is no such file", "none.mp3: there is no", "text.txt", "no sound track", "'many'"]
    for row, saying in zip(rows, sayings, strict=False):
        assert row.state == FAILED and saying in row.error and "\n" not in row.error
    assert isinstance(rows[5], Job) and rows[5].frames == 10 and rows[5].values == {"seed": "3"}


def test_the_digest_changes_with_whatever_the_video_depends_on(planned, table, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "d.npz").write_bytes(b"drives")
    header = "photo,audio,output,seed,pose-from"
    manifest = table("in/a.png,in/a.wav,x.mp4,7,in/d.npz", header=header)

    def digest(*weights):
        (job,) = planned(manifest, *weights)
        return job.digest

    first = digest()
    assert digest() == first
    table("in/copy.png,in/other.wav,x.mp4,07,in/d.npz", header=header)
    assert digest() == first  # the same contents under other names, the same seed
    found = {first}
    for rest in ("x.mp4,8,in/d.npz", "y.mp4,7,in/d.npz", "x.mp4,7,"):
        table(f"in/a.png,in/a.wav,{rest}", header=header)
        found.add(digest())
    table("in/a.png,in/a.wav,x.mp4,7,in/d.npz", header=header)
    assert digest() == first
    (tmp_path / "in" / "d.npz").write_bytes(b"drives otherwise")
    found.add(digest())
    portrait(64).save(tmp_path / "in" / "a.png")
    found.add(digest())
    write_wav(tmp_path / "in" / "a.wav", [0.0, 0.5] * 4000)
    found.add(digest())
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "model.yaml").write_text("a")
    found.add(digest(str(tmp_path / "w")))
    (tmp_path / "w" / "model.yaml").write_text("b")
    found.add(digest(str(tmp_path / "w")))
    monkeypatch.setattr(fd2talk, "__version__", "99", raising=False)
    found.add(digest())
    assert len(found) == 10
