from pathlib import Path

import pytest

from fd2talk.batches.ledger import Entry, Ledger
from fd2talk.batches.manifest import read_defaults, read_manifest
from shared.errors import InputError, UsageError


def write(folder, text, name="m.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return str(folder / name)


def test_rows_with_any_option_and_paths_from_the_folder_of_the_table(tmp_path):
    (tmp_path / "s.npz").touch()
    path = write(
        tmp_path,
        "photo,audio,output,seed,no-rest,style,pose_from\np/a.jpg,b.wav,x.mp4,7,,s.npz,\n"
        "/abs.png, b.wav ,,,yes,calm,c.mp4\n",
    )
    first, second = read_manifest(path)
    assert (first.number, first.photo, first.audio) == ("2", str(tmp_path / "p/a.jpg"), str(tmp_path / "b.wav"))
    assert first.output == "x.mp4" and first.values == {"seed": "7", "style": str(tmp_path / "s.npz")}
    assert (second.number, second.photo, second.output) == ("3", "/abs.png", "")
    assert second.values == {"no_rest": "yes", "style": "calm", "pose_from": str(tmp_path / "c.mp4")}


def test_folders_and_patterns_are_products(tmp_path):
    for name in ("p/a.jpg", "p/b.PNG", "p/notes.txt", "p/sub/c.jpg", "s/one.wav", "s/two.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = read_manifest(write(tmp_path, "photo,audio,seed\np/a.jpg,s/one.wav,\np,s,3\np/**/*.jpg,s/t*.mp3,\n"))
    place = f"{tmp_path}/"
    found = [(row.number, row.photo.removeprefix(place), row.audio.removeprefix(place)) for row in rows]
    assert found == [
        ("2", "p/a.jpg", "s/one.wav"),
        ("3.1", "p/a.jpg", "s/one.wav"),
        ("3.2", "p/a.jpg", "s/two.mp3"),
        ("3.3", "p/b.PNG", "s/one.wav"),
        ("3.4", "p/b.PNG", "s/two.mp3"),
        ("4.1", "p/a.jpg", "s/two.mp3"),
        ("4.2", "p/sub/c.jpg", "s/two.mp3"),
    ]
    assert [row.values for row in rows[1:5]] == [{"seed": "3"}] * 4


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "a[1].jpg").touch()
    (row,) = read_manifest(write(tmp_path, "photo,audio\na[1].jpg,b.wav\n"))
    assert row.photo == str(tmp_path / "a[1].jpg") and not row.error


@pytest.mark.parametrize(
    ("text", "encoding", "lines"),
    [
        ("photo,audio,seed\r\na.jpg,b.wav,1\r\n,,\r\nc.jpg,b.wav,2", "utf-8-sig", "24"),
        ("photo;audio;seed\na.jpg;b.wav;1\nc.jpg;b.wav;2\n", "utf-8", "23"),
        ("photo;audio;seed;;\na.jpg;b.wav;1;;\nc.jpg;b.wav;2;;\n", "utf-8", "23"),
        ("photo\taudio\tseed\na.jpg\tb.wav\t1\nc.jpg\tb.wav\t2\n", "utf-8", "23"),
        ("photo\taudio\tseed\r\na.jpg\tb.wav\t1\r\nc.jpg\tb.wav\t2\r\n", "utf-16", "23"),
        ('"sep=;"\r\nphoto;audio;seed\r\na.jpg;b.wav;1\r\nc.jpg;b.wav;2\r\n', "utf-8", "34"),
        ("\n;;;\n\nPhoto;AUDIO; Seed \na.jpg;b.wav;1\n\n\nc.jpg;b.wav;2", "utf-8", "58"),
        ('photo,audio,seed,max size,solver\na.jpg,b.wav,1,,"d\nd"\nc.jpg,b.wav,2,,\n', "utf-8", "24"),
        ("photo,audio,seed\ra.jpg,b.wav,1\rc.jpg,b.wav,2\r", "utf-8", "23"),
        ('"photo", "audio" ,seed\na.jpg,b.wav,1\nc.jpg,b.wav,2\n'.replace(', "audio" ', ',"audio"'), "utf-8", "23"),
    ],
)
def test_what_spreadsheets_write(tmp_path, text, encoding, lines):
    rows = read_manifest(write(tmp_path, text, encoding=encoding))
    assert [(row.number, row.values["seed"], row.error) for row in rows] == [(lines[0], "1", ""), (lines[1], "2", "")]


def test_opposites_of_switches_take_true_and_false(tmp_path):
    one, two, three = read_manifest(write(tmp_path, "photo,audio,crop,no-ease\na,b,true,\na,b,0,Yes\na,b,maybe,\n"))
    assert one.values == {"crop": True} and two.values == {"crop": False, "no_ease": True}
    assert three.error == "crop takes true or false, not 'maybe'"


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("", "no rows"),
        ("photo,audio\n", "no rows"),
        ("photo,sound\na,b\n", "there is no column audio"),
        ("photo,audio,sead\na,b,1\n", "there is no option sead for a column"),
        ("photo,audio,\na,b,1\n", "there is no option without a name"),
        ("photo,audio,weights\na,b,1\n", "there is no option weights"),
        ("photo,audio,pose-from,pose_from\na,b,1,2\n", "two columns pose_from"),
        ("photo,audio,\na,b,\n\nc,d,1\n", "there is no option without a name"),
        ('photo,audio\n"a,b\n', "cannot read .*: a quotation mark is not closed"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, saying):
    with pytest.raises(InputError, match=saying):
        read_manifest(write(tmp_path, text))


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"m.csv: line 2 is not UTF-8; .*save it as `CSV UTF-8`"):
        read_manifest(write(tmp_path, "photo,audio\nmüller.jpg,b.wav\n", encoding="cp1252"))
    for data, saying in [
        (b"PK\3\4\x14\0", "a spreadsheet or an archive; save it as"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a binary file"),
        (b"\xff\xfea", "damaged UTF-16"),
    ]:
        (tmp_path / "m.csv").write_bytes(data)
        with pytest.raises(InputError, match=saying) as raised:
            read_manifest(str(tmp_path / "m.csv"))
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="No such file"):
        read_manifest(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        ("a.jpg,,,", "no audio is named"),
        (",b.wav,,", "no photo is named"),
        ("a.jpg,b.wav,,1,2", "5 cells, but the table has 4 columns"),
        ("empty,b.wav,,", "empty: no photos in this folder"),
        ("*.bmp,b.wav,,", "*.bmp: no photos have such a name"),
        (
            "https://a.org/b.jpg,b.wav,,",
            "https://a.org/b.jpg: files are read, not addresses of the internet; download it first",
        ),
        ("two,b.wav,x.mp4,", "x.mp4 is the name of one video, but the row makes 2"),
    ],
)
def test_a_bad_row_says_so_and_the_others_stand(tmp_path, cells, error):
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "two" / name).touch()
    rows = read_manifest(write(tmp_path, f"photo,audio,output,seed\n{cells}\na.jpg,b.wav,,\n"))
    assert [row.error for row in rows] == [error, ""]


def test_what_a_file_system_refuses_fails_one_row(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    iterdir = Path.iterdir

    def refusing(folder):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    long = "x" * 300
    rows = (f"{long},b.wav,", f"a.jpg,{long}.wav,", "a\0.jpg,b.wav,", "locked,b.wav,", f"a.jpg,b.wav,{long}", "a,b,")
    found = read_manifest(write(tmp_path, "photo,audio,style\n" + "\n".join(rows) + "\n"))
    sayings = ["File name too long", "File name too long", "", "locked: Permission denied", "", ""]
    for row, saying in zip(found, sayings, strict=True):
        assert saying in row.error and bool(saying) == bool(row.error)
    assert found[4].values == {"style": long}


def test_folders_and_patterns_leave_out_what_is_no_picture_or_recording(tmp_path):
    names = (
        "a.jpg",
        "Thumbs.db",
        ".hidden.jpg",
        "._a.jpg",
        "a.txt",
        "hello.wav",
        "made.mp4",
        "filmed.mp4",
        "sub/x.mp4",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    journal = tmp_path / ".fd2talk-batch" / "journal"
    journal.mkdir(parents=True)
    for name in ("made.mp4", "sub/x.mp4"):
        Ledger(journal).append(Entry(name, "", {}, "", "", 0.0, 0.0, ""))

    def found(photo, audio):
        rows = read_manifest(write(tmp_path, f"photo,audio\n{photo},{audio}\n"))
        return [row.error or (Path(row.photo).name, Path(row.audio).name) for row in rows]

    assert found("*", "*") == found(".", ".") == [("a.jpg", "filmed.mp4"), ("a.jpg", "hello.wav")]
    assert found("*.txt", "**/*.mp4") == [("a.txt", "filmed.mp4")]  # asked for by name
    assert found("a.*", "made.mp4") == [("a.jpg", "made.mp4")]
    assert found("a.jpg", "sub") == ["sub: no recordings but videos that a batch made in this folder"]
    assert found(".*.jpg", "hello.wav") == [".*.jpg: no photos have such a name"]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.jpg").touch()
    (row, _) = read_manifest(write(tmp_path, "photo,audio,person\n~/a.jpg,~/b.wav,~/p\n~/*.jpg,b,\n"))
    assert (row.photo, row.audio) == (f"{tmp_path}/home/a.jpg", f"{tmp_path}/home/b.wav")
    assert row.values == {"person": f"{tmp_path}/home/p"}


def test_defaults_of_all_rows(tmp_path):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "c.yaml"
    (tmp_path / "sub" / "clip.mp4").touch()
    with pytest.raises(UsageError, match="clip.mp4: the file is empty"):  # said of the config, not of every row
        path.write_text("pose-from: clip.mp4")
        read_defaults(str(path))
    (tmp_path / "sub" / "clip.mp4").write_text("clip")
    path.write_text("seed:\npose-scale: 0.5\ncrop: true\npose-from: clip.mp4\n")
    defaults = read_defaults(str(path))
    assert defaults == {"pose_scale": 0.5, "crop": True, "pose_from": str(tmp_path / "sub" / "clip.mp4")}
    one, two = read_manifest(write(tmp_path, "photo,audio,pose-scale,full\na,b,,\na,b,2,true\n"), defaults)
    assert one.values == defaults and one.own == {}
    assert two.values == {**defaults, "pose_scale": "2", "full": "true"} and set(two.own) == {"pose_scale", "full"}
    assert [*two.values][-1] == "full"  # behind `crop`, so that it counts


@pytest.mark.parametrize(
    "text", ["sead: 1", "- 1", "a: [", "seed: many", "output: x.mp4", "seed: 2024-01-01", "person: no/folder"]
)
def test_bad_defaults_are_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match="c.yaml"):
        read_defaults(str(tmp_path / "c.yaml"))
