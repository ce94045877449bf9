"""Synthetic faces, and trainings of the renderers' networks on them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from shared.config import Config
from shared.schema import build
from shared.training.config import TrainingConfig
from shared.training.loop import train

SIZE, COEFFICIENTS = 256, 7
BOXES = [[90, 150, 166, 220], [60, 50, 110, 80], [146, 50, 196, 80]]


def face(colour: np.ndarray, opened: float) -> np.ndarray:
    """A face uint8 [256, 256, 3]: skin, two eyes, a mouth."""
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    image[:] = np.linspace(40, 90, SIZE)[:, None, None]
    cv2.ellipse(image, (128, 130), (90, 115), 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
    for x in (85, 171):
        cv2.ellipse(image, (x, 65), (18, 9), 0, 0, 360, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.circle(image, (x, 65), 7, (30, 20, 10), -1, cv2.LINE_AA)
    cv2.ellipse(image, (128, 185), (30, 3 + int(20 * opened)), 0, 0, 360, (120, 20, 30), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 2)


def task_of(module: ModuleType, **sections: object) -> Any:
    """The task of a training module with these sections of a config."""
    return module.build_task(build(Config("test"), module.Config, sections))


def training(output: Path, steps: int) -> TrainingConfig:
    """A training without validation before its end."""
    values = {"max_steps": steps, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 2, "precision": "no"}
    return TrainingConfig(str(output), **values, validate_every=1000, save_every=0.0)


def mean_loss(task, count: int = 6) -> float:
    """The loss over batches that the training does not draw."""
    with torch.no_grad():
        drawn = [task.batch(torch.Generator().manual_seed(10**6 + k), 4) for k in range(count)]
        return sum(task.loss(task.model, batch)[0].item() for batch in drawn) / count


def check_resumed_equals_uninterrupted(make, folder: Path, monkeypatch) -> None:
    """A training that is interrupted in its fourth step and resumed ends with the weights of one that is not."""
    whole, interrupted, resumed = make(), make(), make()
    train(whole, training(folder / "whole", 5))
    loss, calls = interrupted.loss, []

    def failing(model, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(model, batch)

    monkeypatch.setattr(interrupted, "loss", failing)
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, training(folder / "interrupted", 5))
    assert train(resumed, training(folder / "interrupted", 5))["step"] == 5
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
