"""The training loop: best weights, exact resume, limits, errors."""

import csv

import pytest
import torch
from torch import nn

from shared.errors import Fd2TalkError, InputError
from shared.training.config import TrainingConfig
from shared.training.loop import learning_rate, train


class LineTask:
    """Learn y = 2 x1 - x2 with dropout in the network, so that every kind of randomness is exercised."""

    def __init__(self, die_at: int | None = None):
        torch.manual_seed(5)
        self.model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        self.die_at, self.calls = die_at, 0

    def batch(self, generator, batch_size):
        x = torch.randn(batch_size, 2, generator=generator)
        return {"x": x, "y": 2 * x[:, :1] - x[:, 1:]}

    def loss(self, model, batch):
        self.calls += 1
        if self.calls == self.die_at:
            raise KeyboardInterrupt
        loss = (model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"mse": loss.detach()}

    def validate(self, model):
        batch = self.batch(torch.Generator().manual_seed(1), 256)
        return {"score": -(model(batch["x"]).float() - batch["y"]).square().mean().item()}

    def save(self, model, folder):
        torch.save(model.state_dict(), folder / "weights.pt")


def settings(output, **changes):
    values = dict(output=str(output), max_steps=120, batch_size=32, learning_rate=0.02, warmup_steps=10, precision="no")
    values.update(validate_every=40, save_every=0.0, ema_decay=0.95)
    return TrainingConfig(**{**values, **changes})


def test_learns_and_keeps_the_best(tmp_path):
    before = LineTask().validate(LineTask().model.eval())["score"]
    result = train(LineTask(), settings(tmp_path, max_steps=300))
    assert result["finished"] and result["step"] == 300
    assert before < -1 and result["best_score"] > -0.3
    task = LineTask()
    task.model.load_state_dict(torch.load(tmp_path / "best" / "weights.pt"))
    assert task.validate(task.model.eval())["score"] == pytest.approx(result["best_score"], abs=1e-5)
    rows = list(csv.DictReader(open(tmp_path / "log.csv")))
    assert {row["phase"] for row in rows} == {"train", "validation"}


def test_a_training_whose_data_cannot_be_read_leaves_nothing(tmp_path):
    class Unreadable(LineTask):
        def batch(self, generator, batch_size):
            raise InputError("clip.npz: damaged")

    (tmp_path / "mine").mkdir()
    for output in (tmp_path / "new", tmp_path / "mine"):
        with pytest.raises(InputError, match="damaged"):
            train(Unreadable(), settings(output))
    assert not (tmp_path / "new").exists() and (tmp_path / "mine").exists()
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(die_at=2), settings(tmp_path / "begun"))
    assert (tmp_path / "begun" / "log.csv").exists()


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    train(LineTask(), settings(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(die_at=71), settings(tmp_path / "killed"))
    result = train(LineTask(), settings(tmp_path / "killed"))
    assert result["finished"]
    whole = torch.load(tmp_path / "whole" / "checkpoint.pt")
    killed = torch.load(tmp_path / "killed" / "checkpoint.pt")
    for part in ("model", "averaged"):
        for name, value in whole[part].items():
            assert torch.equal(value, killed[part][name]), name
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "killed" / "log.csv").read_text()


def test_the_next_training_may_have_another_precision(tmp_path):
    scores = [
        train(LineTask(), settings(tmp_path / precision, max_steps=40, precision=precision))["best_score"]
        for precision in ("no", "bf16", "no")
    ]
    assert scores[0] == scores[2] != scores[1]


def test_stops_after_the_minutes_and_resumes(tmp_path):
    first = train(LineTask(), settings(tmp_path), max_minutes=0)
    assert first["step"] == 0 and not first["finished"]
    assert train(LineTask(), settings(tmp_path))["finished"]
    assert train(LineTask(), settings(tmp_path))["step"] == 120


def test_no_resume_starts_anew(tmp_path):
    train(LineTask(), settings(tmp_path, max_steps=40))
    task = LineTask()
    train(task, settings(tmp_path, max_steps=40), resume=False)
    assert task.calls == 40


def test_learning_rate_warms_up_and_decays():
    config = settings("unused", learning_rate=1.0, warmup_steps=10, max_steps=110)
    rates = [learning_rate(step, config) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0 and rates[60] == pytest.approx(0.5)
    assert rates[110] == pytest.approx(0.0)


def test_infinite_loss_and_foreign_checkpoint_are_said(tmp_path):
    task = LineTask()
    task.loss = lambda model, batch: (model(batch["x"]).sum() * float("nan"), {})
    with pytest.raises(Fd2TalkError, match="step 0"):
        train(task, settings(tmp_path / "nan"))
    train(LineTask(), settings(tmp_path / "other", max_steps=2))
    task = LineTask()
    task.model = nn.Linear(2, 1)
    with pytest.raises(Fd2TalkError, match="different model"):
        train(task, settings(tmp_path / "other"))
