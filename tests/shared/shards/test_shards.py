"""Arrays come back from shards as they were written, whatever reads them, and damage is noticed."""

import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow  # noqa: E402
import pyarrow.parquet as parquet  # noqa: E402

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.faces.crop import Crop
from shared.motion import Motion
from shared.shards import format as shard_format
from shared.shards.clip_arrays import motion_arrays, motion_parts, read_motion, read_track, track_arrays, track_parts
from shared.shards.format import INDEX, Part, shard_metadata, shard_name, shard_ranges, write_shard
from shared.shards.index import write_index
from shared.shards.reader import OpenFiles, Shards, is_sharded, open_shards
from shared.tracking import Track

PARTS = {"points": Part("points", "<f4", (3,)), "sound": Part("points", "<i2"), "none": Part("points", "<f8", (2, 2))}


def made_up(count=23):
    """Names, and arrays of different lengths, some without frames."""
    random = np.random.default_rng(0)
    return {
        f"clip{k}": {
            "points": random.normal(size=(k * 7 % 31, 3)).astype(np.float32),
            "sound": random.integers(-32768, 32767, k * 640 % 5000).astype(np.int16),
            "none": None if k % 2 else random.normal(size=(1, 2, 2)),
        }
        for k in range(count)
    }


@pytest.fixture(params=[1 << 26, 4000], ids=["one row group", "many"])
def folder(request, tmp_path, monkeypatch):
    """A folder of two shards."""
    monkeypatch.setattr(shard_format, "_GROUP_BYTES", request.param)
    clips = made_up()
    names = list(clips)
    shards = {name: int(k >= 10) for k, name in enumerate(names)}
    for number in (0, 1):
        chosen = [(name, clips[name]) for name in names if shards[name] == number]
        write_shard(tmp_path / shard_name("points", number), PARTS, chosen, {"number": number})
    rows = [{"name": name, "person": f"p{len(name)}", "text": f"{name}, ümlaut"} for name in reversed(names)]
    write_index(tmp_path, rows, shards, PARTS, {"size": np.arange(len(rows)) / 3}, {"face_model": "none"})
    return tmp_path


def test_arrays_come_back_bit_by_bit(folder):
    shards, clips = Shards(folder), made_up()
    assert is_sharded(folder) and len(shards) == len(clips)
    for name, arrays in clips.items():
        place = shards.place(name)
        assert shards.name(place) == name
        for part, values in arrays.items():
            found = shards.read(place, part)
            expected = np.zeros((0, *PARTS[part].shape)) if values is None else values
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == PARTS[part].dtype and len(found) == shards.lengths(part)[place]
        np.testing.assert_array_equal(shards.read(place, "points", 2, 5), arrays["points"][2:5])
        np.testing.assert_array_equal(shards.read(place, "points", 3, 10**9), arrays["points"][3:])


def test_parquet_reads_the_same(folder):
    assert len(shard_ranges(folder / shard_name("points", 0), ["points"])[0]) == 10
    for number in (0, 1):
        table = parquet.read_table(folder / shard_name("points", number))
        for name, points in zip(table["name"].to_pylist(), table["points"].to_pylist()):
            np.testing.assert_array_equal(np.frombuffer(points, "<f4").reshape(-1, 3), made_up()[name]["points"])
        assert shard_metadata(folder / shard_name("points", number))["number"] == number


def test_the_index_keeps_columns_and_order(folder):
    shards = Shards(folder)
    rows = shards.rows()
    assert [row["name"] for row in rows] == list(reversed(list(made_up())))
    assert rows[0] == {"name": "clip22", "person": "p6", "text": "clip22, ümlaut"}
    codes, names = shards.labels("person")
    assert [names[code] for code in codes] == [row["person"] for row in rows] and names == ["p6", "p5"]
    np.testing.assert_array_equal(shards.numbers("size"), np.arange(23) / 3)
    assert shards.metadata["face_model"] == "none"


def test_many_threads_read_with_few_open_files(folder):
    shards, clips = Shards(folder), made_up()
    shards._files = OpenFiles(shards.checksums, most=1)
    wrong = []

    def read(seed):
        for place in np.random.default_rng(seed).integers(len(clips), size=200):
            if not np.array_equal(shards.read(place, "points"), clips[shards.name(place)]["points"]):
                wrong.append(place)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_folder_pickles_as_its_path(folder):
    shards = Shards(folder)
    shards.numbers("shard"), shards.read(0, "sound")
    data = pickle.dumps(shards)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).read(3, "sound"), shards.read(3, "sound"))
    assert open_shards(folder) is open_shards(str(folder))


def test_damage_is_one_line(folder):
    shards = Shards(folder)
    last = max(range(len(shards)), key=lambda k: (shards.numbers("shard")[k], shards.numbers("sound.at")[k]))
    path = folder / shard_name("points", 1)
    path.write_bytes(path.read_bytes()[: shards.numbers("sound.at")[last] + 3])
    with pytest.raises(InputError, match=f"{path}: damaged: it has \\d+ bytes, and"):
        Shards(folder).read(last, "sound")
    shards._files = OpenFiles()  # as of a folder without checksums
    with pytest.raises(InputError, match="damaged: it ends before"):
        shards.read(last, "sound")
    with pytest.raises(InputError, match="not a shard"):
        shard_metadata(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        Shards(folder).read(last, "sound")
    with pytest.raises(InputError, match="no clip nobody"):
        shards.place("nobody")
    (folder / INDEX).write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an index of shards"):
        Shards(folder)
    parquet.write_table(pyarrow.table({"a": [1]}), folder / INDEX)
    with pytest.raises(InputError, match="not written by `fd2talk shard`"):
        Shards(folder)


def test_what_a_type_does_not_hold_is_refused():
    with pytest.raises(InputError, match=r"float64 \[2\] is not <f4"):
        Part("g", "<f4").to_bytes(np.array([0.1, 0.2]))
    with pytest.raises(InputError, match="is not <f4"):
        Part("g", "<f4", (3,)).to_bytes(np.zeros((2, 4), np.float32))
    assert Part("g", "<f4").to_bytes(np.array([np.nan, 0.5])) == np.array([np.nan, 0.5], np.float32).tobytes()


def test_an_interrupted_shard_leaves_no_file(tmp_path):
    def broken():
        yield "a", {"points": np.zeros((2, 3))}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "points-00000.parquet", PARTS, broken(), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("confidence", [None, "given"])
def test_motions_and_tracks_come_back(tmp_path, confidence):
    model, random = load_bundled(), np.random.default_rng(1)
    motion = Motion(
        expression=random.normal(size=(40, model.num_expression)),
        rotation=random.normal(size=(40, 3)),
        translation=random.normal(size=(40, 3)),
        face_model=model.fingerprint,
        fps=30.0,
        audio=random.uniform(-1.2, 1.2, 5000),
        identity=random.normal(size=model.num_identity),
        confidence=None if confidence is None else random.uniform(0, 1, 40),
        source="clip é.mp4",
    )
    motion.save(tmp_path / "motion.npz")
    motion = Motion.load(tmp_path / "motion.npz")
    track = Track(random.normal(size=(40, 478, 3)).astype(np.float32), np.ones(40, np.float32), Crop(1.5, 2.25, 300.1))
    parts = {**motion_parts(model.num_expression, model.num_identity), **track_parts()}
    for group in ("clips", "tracks"):
        of_group = {name: part for name, part in parts.items() if part.group == group}
        arrays = {**motion_arrays(motion), **track_arrays(track)}
        write_shard(tmp_path / shard_name(group, 0), of_group, [("one", arrays)], {})
    write_index(tmp_path, [{"name": "one"}], {"one": 0}, parts, {}, {"face_model": model.fingerprint})
    shards = Shards(tmp_path)
    found, seen = read_motion(shards, 0), read_track(shards, 0)
    for name in ("expression", "rotation", "translation", "identity", "audio", "confidence"):
        one, other = getattr(motion, name), getattr(found, name)
        assert other is None if one is None else np.array_equal(one, other), name
    assert (found.fps, found.source, found.face_model) == (30.0, "clip é.mp4", model.fingerprint)
    np.testing.assert_array_equal(seen.landmarks, track.landmarks)
    assert seen.crop == track.crop
    path = tmp_path / shard_name("clips", 0)
    whole = path.read_bytes()
    for part in ("motion", "source", "fps"):  # bytes that were changed
        at = shards.numbers(f"{part}.at")[0]
        path.write_bytes(whole[:at] + b"\xff" * 8 + whole[at + 8 :])
        with pytest.raises(InputError, match=f"{path}: the clip one is damaged: "):
            read_motion(Shards(tmp_path), 0)
