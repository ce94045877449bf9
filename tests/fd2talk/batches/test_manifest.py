import pytest

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
    assert (first.number, first.photo, first.audio) == ("1", str(tmp_path / "p/a.jpg"), str(tmp_path / "b.wav"))
    assert first.output == "x.mp4" and first.values == {"seed": "7", "style": str(tmp_path / "s.npz")}
    assert (second.number, second.photo, second.output) == ("2", "/abs.png", "")
    assert second.values == {"no_rest": "yes", "style": "calm", "pose_from": str(tmp_path / "c.mp4")}


def test_folders_and_patterns_are_products(tmp_path):
    for name in ("p/a.jpg", "p/b.PNG", "p/notes.txt", "p/sub/c.jpg", "s/one.wav", "s/two.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = read_manifest(write(tmp_path, "photo,audio,seed\np/a.jpg,s/one.wav,\np,s,3\np/**/*.jpg,s/t*.mp3,\n"))
    place = f"{tmp_path}/"
    found = [(row.number, row.photo.removeprefix(place), row.audio.removeprefix(place)) for row in rows]
    assert found == [
        ("1", "p/a.jpg", "s/one.wav"),
        ("2.1", "p/a.jpg", "s/one.wav"),
        ("2.2", "p/a.jpg", "s/two.mp3"),
        ("2.3", "p/b.PNG", "s/one.wav"),
        ("2.4", "p/b.PNG", "s/two.mp3"),
        ("3.1", "p/a.jpg", "s/two.mp3"),
        ("3.2", "p/sub/c.jpg", "s/two.mp3"),
    ]
    assert [row.values for row in rows[1:5]] == [{"seed": "3"}] * 4


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "a[1].jpg").touch()
    (row,) = read_manifest(write(tmp_path, "photo,audio\na[1].jpg,b.wav\n"))
    assert row.photo == str(tmp_path / "a[1].jpg") and not row.error


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("photo,audio,seed\r\na.jpg,b.wav,1\r\n,,\r\nc.jpg,b.wav,2", "utf-8-sig"),
        ("photo;audio;seed\na.jpg;b.wav;1\nc.jpg;b.wav;2\n", "utf-8"),
        ('"photo", "audio" ,seed\na.jpg,b.wav,1\nc.jpg,b.wav,2\n'.replace(', "audio" ', ',"audio"'), "utf-8"),
    ],
)
def test_what_spreadsheets_write(tmp_path, text, encoding):
    rows = read_manifest(write(tmp_path, text, encoding=encoding))
    assert [(row.number, row.values["seed"], row.error) for row in rows] == [("1", "1", ""), ("2", "2", "")]


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
        ('photo,audio\n"a,b\n', "cannot read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, saying):
    with pytest.raises(InputError, match=saying):
        read_manifest(write(tmp_path, text))


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_manifest(write(tmp_path, "photo,audio\nmüller.jpg,b.wav\n", encoding="latin-1"))
    with pytest.raises(InputError, match="No such file"):
        read_manifest(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        ("a.jpg,,,", "no audio is named"),
        (",b.wav,,", "no photo is named"),
        ("a.jpg,b.wav,,1,2", "5 cells, but the table has 4 columns"),
        ("empty,b.wav,,", "empty: no photos in this folder"),
        ("*.bmp,b.wav,,", "*.bmp: no file has such a name"),
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


def test_defaults_of_all_rows(tmp_path):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "c.yaml"
    path.write_text("pose-scale: 0.5\ncrop: true\npose-from: clip.mp4\n")
    defaults = read_defaults(str(path))
    assert defaults == {"pose_scale": 0.5, "crop": True, "pose_from": str(tmp_path / "sub" / "clip.mp4")}
    one, two = read_manifest(write(tmp_path, "photo,audio,pose-scale,full\na,b,,\na,b,2,true\n"), defaults)
    assert one.values == defaults and one.own == {}
    assert two.values == {**defaults, "pose_scale": "2", "full": "true"} and set(two.own) == {"pose_scale", "full"}
    assert [*two.values][-1] == "full"  # behind `crop`, so that it counts


@pytest.mark.parametrize("text", ["sead: 1", "- 1", "a: [", "seed: many", "output: x.mp4"])
def test_bad_defaults_are_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match="c.yaml"):
        read_defaults(str(tmp_path / "c.yaml"))
