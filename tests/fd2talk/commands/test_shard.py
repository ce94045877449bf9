"""`fd2talk shard`: resumed, extended, refused."""

import builtins
import re
import shutil

import pytest
import yaml
from one_process import in_this_process
from synthetic_prepared import write_prepared

pytest.importorskip("pyarrow")

from shared.prepared import load_portraits, read_index, track_of  # noqa: E402
from shared.shards.format import INDEX  # noqa: E402
from shared.shards.reader import Shards  # noqa: E402
from stage1_motion.training import sharding  # noqa: E402


def config(path, prepared, **values):
    training = {"output": str(path.parent / "run"), "max_steps": 2, "batch_size": 4, "precision": "no"}
    path.write_text(yaml.safe_dump({"model": "lip_expert", "prepared": str(prepared), "training": training, **values}))
    return path


def test_shards_are_written_resumed_and_trained_on(tmp_path, run, monkeypatch):
    prepared, out = write_prepared(tmp_path / "prepared"), tmp_path / "shards"
    with monkeypatch.context() as patch:
        patch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
        code, printed, err = run("shard", prepared, out, "--size", 1)
    assert code == 0 and printed == f"{out}\n" and re.search(r"fd2talk: \d+ clips in 6 shards\n", err), err
    files = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {"clips-00000.parquet", "clips-00001.parquet", "tracks-00001.parquet", INDEX, "portraits.npz"} <= set(files)
    assert [dict(row) for row in read_index(prepared)] == read_index(out)
    assert track_of(out, "person_2").landmarks.shape == (30, 478, 3)
    assert set(load_portraits(out)) == set(load_portraits(prepared))

    # As if stopped: the index is missing, and a file. What is there stays.
    (out / INDEX).unlink()
    (out / "clips-00001.parquet").unlink()
    own = config(tmp_path / "lips.yaml", prepared)
    code, _, err = run("train", own, f"prepared={out}")
    assert code == 2 and f"{out}: these shards are not finished; run the same `fd2talk shard` again" in err
    code, _, err = run("shard", prepared, out, "--size", 1, "--workers", 1, "--for", own)
    assert code == 0, err
    now = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert all(now[name] == time for name, time in files.items() if name.startswith(("clips-00000", "tracks")))
    assert sum(name.startswith("speech-") for name in now) == 6
    code, printed, err = run("train", own, f"prepared={out}")
    assert code == 0 and "auc_shifted" in printed, err
    parts = set(Shards(out).parts)
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    code, _, err = run("shard", prepared, out, "--size", 1)
    assert code == 0 and set(Shards(out).parts) == parts, err
    lost = next(out.glob("speech-*-00003.parquet"))
    lost.unlink()
    code, _, err = run("shard", prepared, out, "--size", 1)
    assert code == 2 and f"{lost}: missing; with --for the training" in err
    assert run("shard", prepared, out, "--size", 1, "--for", own)[0] == 0 and lost.exists()


def test_a_failure_at_the_first_file_leaves_nothing(tmp_path, run, monkeypatch):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "new" / "shards"
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    for motion in (prepared / "motions").iterdir():
        motion.write_bytes(b"damaged")
    code, _, err = run("shard", prepared, out, "--no-tracks")
    assert code == 1 and "not all files were written" in err and not (tmp_path / "new").exists()


def test_what_cannot_be_packed_is_refused(tmp_path, refused):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "shards"
    refused("shard", tmp_path / "none", out, folder=tmp_path, saying="fd2talk prepare")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").touch()
    refused("shard", prepared, tmp_path / "other", folder=tmp_path, saying="holds something else than shards")
    own = config(tmp_path / "face.yaml", prepared, model="face_model")
    own.write_text(f"model: face_model\nprepared: {prepared}\noutput: here\n")
    refused("shard", prepared, out, "--for", own, folder=tmp_path, saying="reads nothing that shards do not have")


def test_shards_of_something_else_are_not_mixed(tmp_path, run, monkeypatch):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "shards"
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    assert run("shard", prepared, out, "--workers", 1, "--no-tracks")[0] == 0
    code, _, err = run("shard", prepared, out, "--workers", 1)
    assert code == 2 and "shards of another tracks" in err
    code, _, err = run("shard", out, tmp_path / "again")
    assert code == 2 and "shards already" in err
    with open(prepared / "index.csv", "a") as file:
        file.write("another,another,train,ok\n")
    code, _, err = run("shard", prepared, out, "--workers", 1, "--no-tracks")
    assert code == 2 and "shards of another index" in err


def test_every_byte_is_checked_and_a_damaged_file_written_again(tmp_path, run, refused, monkeypatch):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "shards"
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    assert run("shard", prepared, out, "--workers", 1)[0] == 0
    code, printed, err = run("shard", "--check", out, "--workers", 2)
    assert code == 0 and printed == "" and re.fullmatch(r"fd2talk: 3 files, [\d.]+ GB: as they were written\n", err), (
        err
    )
    path = out / "clips-00000.parquet"
    written = path.read_bytes()
    path.write_bytes(written[:5000] + bytes([written[5000] ^ 1]) + written[5001:])
    refused("shard", "--check", out, folder=tmp_path, saying=f"{path}: damaged: its bytes have changed")
    path.write_bytes(written[:-1])
    refused("shard", "--check", out, folder=tmp_path, saying=f"{path}: damaged: it has {len(written) - 1} bytes")
    refused("shard", prepared, out, folder=tmp_path, saying=f"{path}: damaged: it has {len(written) - 1} bytes")
    (out / "tracks-00000.parquet").unlink()
    code, _, err = run("shard", "--check", out)
    lines = err.splitlines()
    assert code == 2 and len(lines) == 3 and lines[2] == f"fd2talk: {out}: 2 of 3 files are damaged", err
    path.unlink()
    assert run("shard", prepared, out, "--workers", 1)[0] == 0 and path.read_bytes() == written
    assert run("shard", "--check", out)[0] == 0


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_damaged_plan_is_said(tmp_path, run, refused, monkeypatch, content):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "shards"
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    assert run("shard", prepared, out, "--workers", 1)[0] == 0
    (out / "plan.json").write_text(content)
    refused("shard", prepared, out, folder=tmp_path, saying=f"{out / 'plan.json'}: damaged")


def test_what_cannot_be_checked_is_refused(tmp_path, refused):
    prepared = write_prepared(tmp_path / "prepared", people=3)
    refused("shard", "--check", prepared, folder=tmp_path, saying="no shards; `fd2talk shard PREPARED")
    refused("shard", prepared, "--check", prepared, folder=tmp_path, saying="--check takes the folder of shards")
    refused("shard", folder=tmp_path, saying="Missing argument 'PREPARED'")
    refused("shard", prepared, folder=tmp_path, saying="Missing argument 'OUT'")


def test_a_missing_motion_stops_without_an_index(tmp_path, run, monkeypatch):
    prepared, out = write_prepared(tmp_path / "prepared", people=3), tmp_path / "shards"
    monkeypatch.setattr("fd2talk.commands.shard.in_processes", in_this_process)
    shutil.move(prepared / "motions" / "person_1.npz", tmp_path / "aside.npz")
    code, _, err = run("shard", prepared, out, "--workers", 1)
    assert code == 1 and "not all files were written" in err and not (out / INDEX).exists()
    assert not list(out.glob("clips-*"))


def test_without_pyarrow_a_line_says_what_to_install(tmp_path, run, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name="pyarrow")
        return real(name, *args, **kwargs)

    prepared = write_prepared(tmp_path / "prepared", people=3)
    monkeypatch.setattr(builtins, "__import__", missing)
    code, _, err = run("shard", prepared, tmp_path / "shards")
    assert code == 1 and err.strip() == "fd2talk: shards need pyarrow: pip install 'fd2talk[cluster]'"


def test_people_stay_together_and_order_is_kept():
    rows = [{"name": f"c{k}", "person": f"p{k % 4}", "split": "train", "frames": "100"} for k in range(12)]
    shards = sharding.divide(rows, 500)
    assert [{row["person"] for row in shard} for shard in shards] == [{"p0"}, {"p1"}, {"p2"}, {"p3"}]
    shards = sharding.divide(rows, 600)
    assert [[row["name"] for row in shard] for shard in shards] == [
        ["c0", "c4", "c8", "c1", "c5", "c9"],
        ["c2", "c6", "c10", "c3", "c7", "c11"],
    ]
    assert len(sharding.divide(rows, 1)) == 4
