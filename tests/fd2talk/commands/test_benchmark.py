"""`fd2talk benchmark`: figures of every renderer, table and JSON, errors."""

import json
import tempfile

import pytest

from fd2talk.commands import benchmark
from fd2talk.commands.benchmark import Measured
from shared.stages import Times
from stage1_motion.pipeline import MotionPipeline
from stage2_render import RENDERERS


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, tmp_path):
    def here(work, jobs, workers, *_, **__):
        assert workers == 1 and len(jobs) == 1, "sizes are measured apart"
        return [work(*job) for job in jobs]

    monkeypatch.setattr(benchmark, "in_processes", here)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_renderer_is_measured(run, tmp_path, renderer, renderer_weights, monkeypatch):
    small = {"diffusion": ("--weights", str(renderer_weights))}.get(renderer, ())
    if small:  # the motion is that of the bundled weights
        load = MotionPipeline.from_pretrained
        monkeypatch.setattr(MotionPipeline, "from_pretrained", lambda name, **options: load("bundled", **options))
    code, out, err = run("benchmark", "--size", 96, "--seconds", 0.4, "--renderer", renderer, *small, "--json")
    assert code == 0 and err.count("\n") == (renderer == "diffusion") and not list(tmp_path.iterdir())
    found = json.loads(out)
    assert found["processor"] and found["cores"] >= 1 and found["renderer"] == renderer
    (row,) = found["sizes"]
    assert (row["size"], row["frames"]) == (96, 10)
    assert row["precision"] in (("",) if renderer == "geometry" else ("bf16", "float32", "int8"))
    networks = [] if renderer == "geometry" else ["networks"]
    known = ["speech encoder", "motion model and rules", "warp", *networks, "compositing and the rest", "encoding"]
    assert [name for name in row["stages"] if name in known] == [name for name in known if name in row["stages"]]
    assert {"speech encoder", "motion model and rules", "encoding"} <= set(row["stages"]) <= set(known)
    for times in (*row["stages"].values(), row["rendering"], row["together"]):
        assert times["wall"] > 0 and times["processor"] >= 0
    assert min(row[name] for name in ("loading", "photo", "motion", "first_frame")) > 0 and row["peak_memory"] > 50
    assert row["real_time"] == (row["together"]["wall"] <= 40)


def test_table(run, monkeypatch):
    def measure(size, renderer, precision, seconds, weights, device, started):
        stages = {"warp": Times(size / 100, 2), "encoding": Times(1, 1)}
        times = stages, Times(size / 50, 2), Times(size / 10, 3)
        return Measured(size, 25, "bf16", 4.0, 0.5, 0.25, 0.125, *times, 700.4)

    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "_processor", lambda: "A chip")
    code, out, _ = run("benchmark", "--size", 200, "--size", 800)
    assert run("benchmark", "--size", "200,800")[1] == out
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("A chip, ") and "networks in bf16" in lines[0]
    assert lines[2:6] == [
        "|  | 200 x 200 | 800 x 800 |",
        "| --- | --- | --- |",
        "| warp, ms a frame | 2.0 / 2.0 | 8.0 / 2.0 |",
        "| encoding, ms a frame | 1.0 / 1.0 | 1.0 / 1.0 |",
    ]
    assert "| **all together, ms a frame** | **20.0 / 3.0** | **80.0 / 3.0** |" in lines
    assert "| rendering alone, frames a second | 250 | 62 |" in lines
    assert "| real time (40 ms a frame) | yes, 2.0 x | no, 0.5 x |" in lines
    assert "| first frame after that, s | 0.12 | 0.12 |" in lines and lines[-1] == "| peak memory, MiB | 700 | 700 |"
    assert [one["size"] for one in json.loads(run("benchmark", "--json")[1])["sizes"]] == [256, 512, 900]


def test_what_is_refused(refused, tmp_path):
    refused("benchmark", "--device", "cuda:99", folder=tmp_path, saying="'cuda:99' is not available")
    refused("benchmark", "--weights", tmp_path / "none", folder=tmp_path, saying="no such folder")
    refused("benchmark", "--size", 8, folder=tmp_path, saying="64<=x<=4096")
    refused("benchmark", "--renderer", "magic", folder=tmp_path, saying="magic")
    refused("benchmark", "--seconds", "nan", folder=tmp_path, saying="'nan' is not a number")
