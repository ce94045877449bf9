"""`accelerate launch` with two processes on the CPU: losses of one process, one writer, exact resume."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_tasks
import torch
from ports import free_port

from shared.training.loop import train

ROOT = Path(__file__).parents[3]
NAMES = ("lip_expert", "expression", "speech", "image", "denoiser")


def launch(folder):
    """Run `small_tasks.main` in two processes."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    environment = {**os.environ, "PYTHONPATH": path, "ACCELERATE_USE_CPU": "yes", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--main_process_port", str(free_port()), small_tasks.__file__, str(folder)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-5000:]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of trainings by one process (`one/...`) and by two."""
    folder = tmp_path_factory.mktemp("processes")
    made = small_tasks.tasks(small_tasks.write_images(folder / "pairs"))
    for name, task in made.items():
        train(task, small_tasks.settings(folder / "one", name))
    small_tasks.train_stopped(small_tasks.expression(), small_tasks.settings(folder / "two", "begun"))
    launch(folder)
    return folder


def figures(folder):
    with open(folder / "log.csv", newline="") as file:
        rows = [(row["step"], row["phase"], row["name"], float(row["value"])) for row in csv.DictReader(file)]
    assert len({row[:3] for row in rows}) == len(rows)
    return {row[:3]: row[3] for row in rows}


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_one_process(trained, name):
    one, two = (figures(trained / count / name) for count in ("one", "two"))
    assert list(one) == list(two) and ("1", "train", "loss") in one
    for key, value in one.items():
        tolerance = 1e-4 if key[1] == "train" else 1e-3
        assert two[key] == pytest.approx(value, rel=tolerance, abs=tolerance), key


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_one_process(trained, name):
    """By Adam's mean gradients, because its steps are blind to a factor of the loss."""
    one, two = (torch.load(trained / count / name / "checkpoint.pt")["optimizer"]["state"] for count in ("one", "two"))
    assert list(one) == list(two)
    means = [torch.cat([state["exp_avg"].flatten() for state in of.values()]) for of in (one, two)]
    assert (means[0] - means[1]).norm() < 1e-3 * means[0].norm()


def test_one_process_begins_and_two_go_on(trained):
    one, two = figures(trained / "one" / "expression"), figures(trained / "two" / "begun")
    assert two[str(small_tasks.STEPS), "train", "loss"] == pytest.approx(
        one[str(small_tasks.STEPS), "train", "loss"], abs=1e-4
    )


def test_stopped_and_resumed_equals_uninterrupted(trained):
    whole, stopped = (torch.load(trained / name / "checkpoint.pt") for name in ("whole", "stopped"))
    for part in ("model", "averaged"):
        assert all(torch.equal(value, stopped[part][name]) for name, value in whole[part].items())
    assert (trained / "whole" / "log.csv").read_text() == (trained / "stopped" / "log.csv").read_text()


def test_each_process_has_its_own_dropout(trained):
    drawn = [(trained / f"dropout{rank}").read_text().split() for rank in (0, 1)]
    assert len(drawn[0]) == small_tasks.STEPS and len({*drawn[0], *drawn[1]}) == 2 * small_tasks.STEPS
