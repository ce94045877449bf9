"""Which clips belong together, and the errors when none do."""

import pytest

from fd2talk.evaluation.inputs.pairs import match, read_folder, read_manifest, read_repeats
from shared.errors import InputError, UsageError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_a_video_and_a_motion_of_one_name_are_one_clip(tmp_path):
    found = read_folder(touch(tmp_path, "anna/one.mp4", "anna__one.npz", "bob/two.mp4", "notes.txt", ".hidden.mp4"))
    assert list(found) == ["anna__one", "bob__two"]
    one, two = found.values()
    assert (one.person, one.video.name, one.motion.name) == ("anna", "one.mp4", "anna__one.npz")
    assert (two.person, two.motion) == ("bob", None)


def test_two_videos_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="one video, one motion"):
        read_folder(touch(tmp_path, "a/b.mp4", "a__b.mp4"))


def test_the_manifest_gives_person_split_and_usable_audio(tmp_path):
    touch(tmp_path, "x/1.mp4", "x/2.mp4", "y/3.mp4", "z/4.mp4", "unlisted.mp4")
    lines = ["file,person,split,audio", "x/1.mp4,xenia,val,ok", "x/2.mp4,xenia,train,ok", "y/3.mp4,yuri,val,weak"]
    (tmp_path / "manifest.csv").write_text("\n".join([*lines, "z/4.mp4,zoe,val,ok"]))
    assert list(read_folder(tmp_path, "val")) == ["x__1", "z__4"]
    assert [item.person for item in read_folder(tmp_path).values()] == ["xenia", "xenia", "zoe"]
    with pytest.raises(InputError, match="split test"):
        read_folder(tmp_path, "test")


def test_folders_without_clips(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither videos nor motions"):
        read_folder(touch(tmp_path, "readme.md"))
    with pytest.raises(UsageError, match="no split val"):
        read_folder(touch(tmp_path, "a.mp4"), "val")


def test_repeats_are_numbered_folders(tmp_path):
    touch(tmp_path, *(f"{n}/a.npz" for n in range(11)))
    assert [found["a"].motion.parent.name for found in read_repeats(tmp_path, None)] == [str(n) for n in range(11)]
    assert len(read_repeats(tmp_path, 3)) == 3
    with pytest.raises(InputError, match="0 to 11"):
        read_repeats(tmp_path, 12)
    with pytest.raises(InputError, match="subfolders 0 to 1"):
        read_repeats(touch(tmp_path / "plain", "a.npz"), 2)
    assert len(read_repeats(tmp_path / "plain", 1)) == 1


def test_people_with_numbers_as_names_are_no_repeats(tmp_path):
    (found,) = read_repeats(touch(tmp_path, "5535415699068794046/00001.mp4", "5535423430009926848/00001.mp4"), None)
    assert {item.person for item in found.values()} == {"5535415699068794046", "5535423430009926848"}


def test_names_are_compared_in_composed_form(tmp_path):
    """One file system keeps an accented letter as one character, another as a letter and its accent."""
    (generated,), (reference,) = (
        read_folder(touch(tmp_path / side, f"zo{letter}.mp4")) for side, letter in (("m", "e\u0308"), ("r", "\u00eb"))
    )
    assert generated == reference


def test_hidden_folders_are_ignored(tmp_path):
    assert list(read_folder(touch(tmp_path, ".trash/old.mp4", "new.mp4"))) == ["new"]


@pytest.mark.parametrize("name", ["../../elsewhere", ".", "a\\b", "two\nlines"])
def test_impossible_names(tmp_path, name):
    touch(tmp_path, "a.mp4")
    (tmp_path / "pairs.csv").write_text(f'generated,name\na.mp4,"{name}"\n')
    with pytest.raises(UsageError, match="cannot be the name of a clip"):
        read_manifest(tmp_path / "pairs.csv")


def test_a_manifest_lists_files_wherever_they_are(tmp_path):
    touch(tmp_path, "filmed/one.mp4", "here/two.mp4")
    lines = ["\ufefffile,person", f"{tmp_path}/filmed/one.mp4,anna", "../filmed/one.mp4,bob", "two.mp4,"]
    (tmp_path / "here" / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    found = read_folder(tmp_path / "here")
    assert [item.person for item in found.values()] == ["anna", "bob", "two"]
    assert list(found)[1:] == ["filmed__one", "two"] and not any("/" in name for name in found)
    (tmp_path / "here" / "manifest.csv").write_text("path,speaker\ntwo.mp4,anna\n")
    with pytest.raises(InputError, match="column `file`"):
        read_folder(tmp_path / "here")


def test_clips_are_matched_by_name(tmp_path):
    generated = read_folder(touch(tmp_path / "generated", "a__1.mp4", "c/1.mp4"))
    reference = read_folder(touch(tmp_path / "reference", "a/1.mp4", "b/1.mp4"))
    pairs, missing = match("ours", 0, generated, reference)
    assert [(p.name, p.person, p.generated.video.name, p.reference.video.name) for p in pairs] == [
        ("a__1", "a", "a__1.mp4", "1.mp4")
    ]
    assert missing == ["b__1"]
    alone, missing = match("ours", 0, generated, None)
    assert [pair.reference for pair in alone] == [None, None] and missing == []
    with pytest.raises(InputError, match="no clip has the name of a reference"):
        match("ours", 0, read_folder(touch(tmp_path / "other", "q.mp4")), reference)


def test_two_single_clips_are_a_pair(tmp_path):
    touch(tmp_path, "generated.mp4", "reference.mp4", "notes.txt")
    (pair,), missing = match("ours", 0, *(read_folder(tmp_path / name) for name in ("generated.mp4", "reference.mp4")))
    assert (pair.name, pair.generated.video.name, pair.reference.video.name, missing) == (
        "reference",
        "generated.mp4",
        "reference.mp4",
        [],
    )
    with pytest.raises(UsageError, match="no such folder, video or motion"):
        read_folder(tmp_path / "notes.txt")


def test_a_manifest_of_pairs(tmp_path):
    touch(tmp_path, "g/x.mp4", "r/y.mp4", "s.wav")
    path = tmp_path / "pairs.csv"
    path.write_text("generated,reference,audio,repeat,person\ng/x.mp4,r/y.mp4,s.wav,3,anna\ng/x.mp4,,,,\n")
    (repeat, generated, reference), (again, alone, nobody) = read_manifest(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheet programs write it
    assert read_manifest(path) == [(repeat, generated, reference), (again, alone, nobody)]
    assert (repeat, generated.name, generated.person, generated.audio.name, reference.video.name) == (
        3,
        "g__x",
        "anna",
        "s.wav",
        "y.mp4",
    )
    assert (again, alone.person, nobody) == (0, "g__x", None)
    for text, saying in (
        ("generated,reference\ng/none.mp4,r/y.mp4\n", "g/none.mp4 does not exist"),
        ("video\ng/x.mp4\n", "names no file"),
        ("generated,repeat\ng/x.mp4,two\n", "not the number of a repeat"),
        ("generated\n", "no rows"),
        ("generated,name\ng/x.mp4,one\nr/y.mp4,one\n", "lines 2 and 3 are both called one"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=saying):
            read_manifest(path)
