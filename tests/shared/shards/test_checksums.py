"""A shard that was cut off, replaced, or in which a byte has changed is named in one line."""

import hashlib
import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from shared.errors import InputError  # noqa: E402
from shared.shards.check import check_file, check_known, checksums_of_folder  # noqa: E402
from shared.shards.checksums import Checksum, checksum_of, checksum_of_all  # noqa: E402
from shared.shards.format import INDEX, INDEX_SUM, Part, shard_metadata, shard_name, shard_ranges, write_shard  # noqa: E402
from shared.shards.index import write_columns, write_index  # noqa: E402
from shared.shards.reader import CHECK_VARIABLE, OpenFiles, Shards  # noqa: E402
from shared.shards.rows import StoredRows, decode, encode, save_arrays, save_description  # noqa: E402

PARTS = {"points": Part("points", "<f4", (3,))}
NAMES = [f"clip{k}" for k in range(12)]


def write(folder, number, seed):
    """A shard of six clips; those of different seeds have the same size."""
    random = np.random.default_rng(seed)
    clips = [(name, {"points": random.normal(size=(40, 3)).astype(np.float32)}) for name in NAMES[6 * number :][:6]]
    write_shard(folder / shard_name("points", number), PARTS, clips, {})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in (0, 1):
        write(folder, number, number)
    np.savez(folder / "portraits.npz", names=["a"])
    rows = [{"name": name} for name in NAMES]
    places = {name: k // 6 for k, name in enumerate(NAMES)}
    write_index(folder, rows, places, PARTS, {}, {}, [folder / "portraits.npz"])
    return folder


def change_a_byte(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def wrong(folder):
    """What is said of the files of a folder."""
    known = checksums_of_folder(folder).values()
    lines = [check_file(path, checksum) for files in known for path, checksum in files.items()]
    return [line for line in lines if line]


def test_the_index_has_the_hash_of_the_footer_which_has_that_of_the_rest(folder):
    path = folder / shard_name("points", 1)
    data = path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
    assert shard_metadata(path)["sha256"] == hashlib.sha256(data[: -len(footer)]).hexdigest()
    expected = Checksum(len(data), hashlib.sha256(footer).hexdigest())
    assert Shards(folder).checksums[path.name] == checksum_of(path) == expected
    stills = (folder / "portraits.npz").read_bytes()
    assert Shards(folder).checksums["portraits.npz"] == (len(stills), hashlib.sha256(stills).hexdigest())
    assert wrong(folder) == []


def test_a_replaced_shard_is_noticed_when_it_is_first_opened(folder, tmp_path):
    write(tmp_path, 1, seed=5)
    path = folder / shard_name("points", 1)
    size = path.stat().st_size
    shutil.copy(tmp_path / path.name, path)
    assert path.stat().st_size == size
    shards = Shards(folder)
    shards.read(0, "points")  # of the other file
    for _ in range(2):
        with pytest.raises(InputError, match=f"{path}: damaged or replaced: not the file that the index was made of"):
            shards.read(7, "points", 0, 1)
    with pytest.raises(InputError, match=f"{path}: damaged or replaced"):
        check_known(folder)
    assert len(wrong(folder)) == 1


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_shard_that_was_cut_off_is_noticed(folder, kept):
    path = folder / shard_name("points", 0)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=f"{path}: damaged: it has \\d+ bytes, and \\d+ when"):
        Shards(folder).read(0, "points")
    with pytest.raises(InputError, match=f"{path}: damaged: it does not end as a shard does"):
        checksum_of(path)
    (line,) = wrong(folder)
    assert line.startswith(f"{path}: damaged")


def test_a_changed_byte_is_noticed_by_reading_all(folder, monkeypatch):
    path = folder / shard_name("points", 0)
    change_a_byte(path, Shards(folder).numbers("points.at")[5] + 17)
    Shards(folder).read(0, "points")  # the end alone is looked at
    check_known(folder)
    (line,) = wrong(folder)
    assert line.startswith(f"{path}: damaged: its bytes have changed") and "\n" not in line
    monkeypatch.setenv(CHECK_VARIABLE, "1")
    with pytest.raises(InputError, match=f"{path}: damaged: its bytes have changed"):
        Shards(folder).read(0, "points")
    Shards(folder).read(7, "points")


def test_a_file_is_checked_once(folder, monkeypatch):
    calls = []
    monkeypatch.setattr("shared.shards.reader.check_end", lambda path, expected: calls.append(path.name))
    shards = Shards(folder)
    shards._files = OpenFiles(shards.checksums, most=1)
    for clip in (0, 7, 1, 8, 0):
        shards.read(clip, "points")
    assert calls == [shard_name("points", 0), shard_name("points", 1)]


def test_a_damaged_index_is_noticed(folder):
    where = Shards(folder)._index.metadata.row_group(0).column(0)
    change_a_byte(folder / INDEX, where.data_page_offset + where.total_compressed_size - 4)
    with pytest.raises(InputError, match=f"{folder / INDEX}: damaged .*; remove it, and run"):
        checksums_of_folder(folder)


def test_any_byte_of_the_index_is_checked_and_nothing_else_is_blamed(folder):
    assert wrong(folder) == []
    size = (folder / INDEX).stat().st_size
    for at in {*range(0, size, size // 40), size - 1}:
        change_a_byte(folder / INDEX, at)
        with pytest.raises(InputError, match=f"{folder / INDEX}: damaged .*; remove it, and run"):
            checksums_of_folder(folder)
        change_a_byte(folder / INDEX, at)
    (folder / INDEX_SUM).unlink()  # as shards that were written before
    assert wrong(folder) == []


@pytest.mark.parametrize("name", [b'"shape"', b'"parts"', b'"dtype"'])
def test_an_index_whose_description_is_damaged_is_noticed(folder, name):
    data = (folder / INDEX).read_bytes()
    assert name in data
    (folder / INDEX).write_bytes(data.replace(name, name[:-2] + b'x"'))
    with pytest.raises(InputError, match=f"{folder / INDEX}: damaged .*; remove it, and run"):
        Shards(folder)


def test_missing_files_and_others_than_shards(folder):
    (folder / shard_name("points", 1)).unlink()
    change_a_byte(folder / "portraits.npz", 40)
    check_known(folder)  # what is missing is written again
    lines = sorted(wrong(folder))
    assert "points-00001.parquet: cannot be read (No such file" in lines[0]
    assert "portraits.npz: damaged: its bytes have changed" in lines[1] and len(lines) == 2


def test_shards_without_checksums_open(folder):
    shards = Shards(folder)
    columns = {name: shards._index.read([name]).column(0) for name in shards._index.schema_arrow.names}
    write_columns(folder, columns, PARTS, {})
    assert Shards(folder).checksums == {}
    np.testing.assert_array_equal(Shards(folder).read(3, "points"), shards.read(3, "points"))
    assert checksums_of_folder(folder) == {folder / INDEX: {}}


def test_a_shard_without_a_checksum_is_not_called_intact(folder, monkeypatch):
    monkeypatch.setattr("shared.shards.check.shard_metadata", lambda path: {})
    assert len(wrong(folder)) == 2 and all("written without a checksum of its bytes" in line for line in wrong(folder))


def test_rows_beside_shards(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (3, 16, 24, 3), np.uint8)
    path = tmp_path / shard_name("pictures", 0)
    part = {"picture": Part("pictures", "|u1")}
    data = [np.frombuffer(encode(image, None), np.uint8) for image in images]
    write_shard(path, part, [("", {"picture": one}) for one in data], {})
    others = save_arrays(tmp_path, {"at": np.arange(3)})
    save_description(tmp_path / "pictures.json", {"people": []}, [path], others)
    starts, sizes = shard_ranges(path, ["picture"])[1]["picture"]
    rows = StoredRows(OpenFiles(), tmp_path, "pictures", np.zeros(3, int), starts, sizes)
    for row in range(3):
        np.testing.assert_array_equal(rows.read(row, decode), images[row])
    change_a_byte(path, starts[1] + 2)
    with pytest.raises(InputError, match=f"{path}: damaged: row 1 cannot be decoded"):
        rows.read(1, decode)
    assert checksum_of_all(others[0]).bytes == others[0].stat().st_size
