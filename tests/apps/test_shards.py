"""Two processes train from shards, one of them is killed, and the next run ends with the weights of one undisturbed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from ports import free_port
from synthetic_frames import NETWORK
from synthetic_shards import write_shards

pytest.importorskip("pyarrow")

ROOT = Path(__file__).parents[2]
STEPS = {"stage one": 200, "stage two": 70, "style encoder": 200}
COMMON = {"batch_size": 4, "precision": "no", "validate_every": 10_000, "save_every": 0}


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """Configs by stage, of trainings from one folder of shards."""
    root = tmp_path_factory.mktemp("trainings")
    network = {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6}
    shards = str(root / "shards")
    one = {"model": "fd2talk", "part": "expression", "network": network, "loss": {"steps": 1}}
    two = {
        "model": "autoencoder",
        "data": {"frames": "unused", "clips": "none", "prepared": shards},
        "network": NETWORK,
    }
    style = {"model": "style_encoder", "network": {"size": 16, "layers": 1, "heads": 2, "frames": 20, "shortest": 12}}
    found = {}
    for name, values in (
        ("stage one", {**one, "prepared": shards}),
        ("stage two", two),
        ("style encoder", {**style, "prepared": shards}),
    ):
        found[name] = root / f"{name}.yaml"
        found[name].write_text(
            yaml.safe_dump({**values, "training": {**COMMON, "max_steps": STEPS[name], "output": "run"}})
        )
    write_shards(root, found["stage one"])
    return found


def launch(config, output):
    """Start the training in two processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "yes", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--main_process_port", str(free_port())]
    command += ["-m", "fd2talk", "train", str(config), f"training.output={output}"]
    with open(f"{output}.log", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def finish(config, output):
    assert launch(config, output).wait(900) == 0, Path(f"{output}.log").read_text()[-3000:]


def logged(output):
    """The last step in the log, which every twentieth is written to."""
    log = output / "log.csv"
    steps = [line.split(",")[0] for line in log.read_text().splitlines()] if log.exists() else []
    return max([int(step) for step in steps if step.isdigit()], default=0)


def kill(config, output, rank):
    """Start the training, and kill one of its processes when it has come twenty steps further."""
    goal = logged(output) + 20
    launcher = launch(config, output)
    try:
        deadline = time.monotonic() + 900
        while logged(output) < goal:
            assert launcher.poll() is None and time.monotonic() < deadline, Path(f"{output}.log").read_text()[-3000:]
            time.sleep(0.05)
        workers = {}
        for child in psutil.Process(launcher.pid).children(recursive=True):
            if "train" in child.cmdline() and (number := child.environ().get("LOCAL_RANK")):
                workers[int(number)] = child
        os.kill(workers[rank].pid, signal.SIGKILL)
        assert launcher.wait(900) != 0
    finally:
        launcher.kill()
        launcher.wait()


def state(output):
    return torch.load(output / "checkpoint.pt", weights_only=True)


@pytest.mark.parametrize("stage", list(STEPS))
def test_a_killed_process_costs_no_bit(trainings, tmp_path, stage):
    config = trainings[stage]
    finish(config, tmp_path / "whole")
    kill(config, tmp_path / "killed", rank=1)
    first = state(tmp_path / "killed")["step"]
    assert 0 < first < STEPS[stage]
    kill(config, tmp_path / "killed", rank=0)
    second = state(tmp_path / "killed")["step"]
    assert first < second < STEPS[stage]
    finish(config, tmp_path / "killed")
    whole, killed = state(tmp_path / "whole"), state(tmp_path / "killed")
    assert whole["step"] == killed["step"] == STEPS[stage] and whole["validation"] == killed["validation"]
    for part in ("model", "averaged"):
        assert all(torch.equal(value, killed[part][name]) for name, value in whole[part].items())
