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
    assert all(name.startswith("anna-a-") and len(name) == len("anna-a-12345678.mp4") for name in first)
    more = outputs(planned(table(*rows)))
    assert more[:2] == first and len(set(more)) == 3
    assert outputs(planned(table(rows[2], rows[0], rows[1]))) == [more[2], more[0], more[1]]
    assert outputs(planned(table(rows[1]))) == ["anna-a.mp4"]
    named = ("p/anna.png,in/a.wav,", "q/anna.png,in/b.wav,Anna-A.mp4")
    one, other = outputs(planned(table(*named, header="photo,audio,output")))
    assert one == first[0] and other == "Anna-A.mp4"  # a name that the table gives stays whatever comes before


def test_a_row_that_is_there_twice_is_named_once(planned, table):
    rows = (
        "in/a.png,in/a.wav,7,",
        "in/a.png,in/b.wav,7,",
        "in/*.png,in/a.wav,7,",
        "in/a.png,in/a.wav,8,x",
        "in/a.png,in/a.wav,8,x",
    )
    found = planned(table(*rows, header="photo,audio,seed,output"))
    assert outputs(found[:2]) == ["a-a-seed-7.mp4", "a-b-seed-7.mp4"]
    assert [one.error for one in found[2:3]] == ["row 2 is the same"] and found[4].error == "row 5 is the same"


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
        ("folder/", "names a folder; name a file in it, such as folder/talk.mp4"),
        ("there.mp4", "there is a folder of this name"),
        ("m.csv/x.mp4", "m.csv is not a folder"),
        ("x" * 300, "xxx…: the name is too long"),
        ("a\0b", "control characters"),
        ('"a\nb"', "no line breaks"),
        ("a\x07b", "control characters"),
        (".fd2talk-batch/x.mp4", "begin with a dot"),
    ],
)
def test_outputs_stay_in_their_folder(planned, table, tmp_path, output, saying):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").mkdir()
    os.symlink(tmp_path / "link", tmp_path / "out" / "link")
    (tmp_path / "out" / "there.mp4").mkdir()
    (tmp_path / "out" / "m.csv").touch()
    rows = (f"in/a.png,in/a.wav,{output}", "in/a.png,in/a.wav,sub/talk v1.2", "in/a.png,in/a.wav,")
    bad, named, other = planned(table(*rows, header="photo,audio,output"))
    assert bad.state == FAILED and saying in bad.error and "\n" not in bad.error and "overwrite" not in bad.error
    assert bad.output == output.strip('"')  # as the table has it
    assert named.output == "sub/talk v1.2.mp4" and other.output == "a-a.mp4"


def test_the_second_of_two_rows_with_one_output_fails(planned, table):
    rows = ("in/a.png,in/a.wav,x.mp4", "in/b.png,in/a.wav,X.MP4", "in/b.png,in/a.wav,x", "in/b.png,in/a.wav,y")
    first, second, third, fourth = planned(table(*rows, header="photo,audio,output"))
    assert isinstance(first, Job) and isinstance(fourth, Job)
    assert second.error == "output X.MP4: row 2 has the same" and third.error == "output x.mp4: row 2 has the same"


@pytest.mark.parametrize("outputs", [("x.mp4", "X.mp4/y.mp4"), ("x.mp4/y", "x.mp4")])
def test_no_video_is_the_folder_of_another(planned, table, outputs):
    rows = (f"in/{name}.png,in/a.wav,{output}" for name, output in zip("ab", outputs, strict=True))
    good, bad = planned(table(*rows, header="photo,audio,output"))
    assert isinstance(good, Job) and "the video of row 2 cannot be a folder" in bad.error


def test_every_row_is_checked(planned, table, tmp_path):
    manifest = table(
        "in/none.jpg,in/a.wav,",
        "in/a.png,in/none.mp3,",
        "in/a.png,in/text.txt,",
        "in/a.png,in/a.png,",
        "in/a.png,in/a.wav,many",
        "in/text.txt,in/a.wav,",
        "in/a.png,in/a.wav,,calm",
        "in/a.png,in/a.wav,,clam,diffposetalk",
        "in/a.png,in/a.wav,,in/none.npz,diffposetalk",
        "in/a.png,in/a.wav,,,,in/none.npz",
        "in/a.png,in/a.wav,,,,,in/none",
        f"in/a.png,in/a.wav,,{'s' * 300},diffposetalk",
        f"in/a.png,in/a.wav,,,,{'s' * 300}",
        f"in/a.png,in/a.wav,,,,,{'s' * 300}",
        f"in/{'s' * 300},in/a.wav",
        f"in/a.png,in/{'s' * 300}",
        "nul\0.png,in/a.wav",
        "in/a.png,nul\0.wav",
        "in/a.png,in/a.wav,3.0",
        "in/a.png,in/a.wav,,calm,diffposetalk",
        header="photo,audio,seed,style,model,pose-from,person",
    )
    (tmp_path / "in" / "text.txt").write_text("hello " * 99)
    rows = planned(manifest)
    sayings = ["in/none.jpg: there is no such file", "none.mp3: there is no", "text.txt", "no sound track"]
    sayings += ["seed: 'many' is no whole number from 0 on", "text.txt: it is not an image", "fd2talk takes no style"]
    sayings += ["no style 'clam' (there are: ", "none.npz: there is no", "none.npz: there is no", "is no folder"]
    sayings += [
        "there is no style 'sss",
        "name too long",
        "is no folder",
        "name too long",
        "name too long",
        "null byte",
        "null byte",
    ]
    *bad, good, styled = rows
    for row, saying in zip(bad, sayings, strict=True):
        assert row.state == FAILED and saying in row.error and "\n" not in row.error
    assert isinstance(styled, Job) and isinstance(good, Job) and good.frames == 10 and good.facts["seed"] == "3"


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
