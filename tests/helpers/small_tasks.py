"""A small task for each kind of loss of the project, on synthetic data; run by `accelerate launch`, trains them all."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from synthetic import task_of, training
from synthetic_frames import autoencoder_task, frames_section, write_frames
from synthetic_recordings import made_up_recordings
from torch import nn

from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.processes import number
from shared.speech.training.task import SpeechTask
from shared.training.config import TrainingConfig
from shared.training.loop import connect_processes, train
from stage1_motion.lip_expert.training import LipExpertTask
from stage1_motion.models.fd2talk.network import MotionTransformerConfig
from stage1_motion.models.fd2talk.training import ExpressionTask
from stage1_motion.motion_space import MotionSpace
from stage2_render.diffusion.render_model import save_autoencoder
from stage2_render.training import unet

STEPS, STOPPED = 20, 7
FEW = 3  # of all but `expression`, which is checked over many steps
SPEECH = {"hidden_size": 32, "layers": 1, "heads": 2, "intermediate_size": 64, "conv_dim": (16, 16, 32), "dropout": 0.0}
MOTION = {"width": 16, "layers": 1, "heads": 2, "window": 24, "context": 6, "dropout": 0.0}
UNET = {"channels": [16, 16], "attention": [False, True], "heads": 2, "time_width": 16}


class Line:
    """Learn y = 2 x1 - x2 with dropout."""

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        self.drawn: list[float] = []

    def batch(self, generator, batch_size):
        x = torch.randn(batch_size, 2, generator=generator)
        return {"x": x, "y": 2 * x[:, :1] - x[:, 1:]}

    def loss(self, model, batch):
        self.drawn.append(torch.rand(1).item())
        return (model(batch["x"]) - batch["y"]).square().mean(), {}

    def validate(self, model):
        return {"score": model.training + next(model.parameters()).mean().item()}

    def save(self, model, folder):
        torch.save(model.state_dict(), folder / "weights.pt")


class ImageDistance(nn.Module):
    """Stands for the perceptual distance; depends on where the images are cut."""

    def forward(self, one, two):
        return (one - two)[..., ::5, ::3].abs().mean((1, 2, 3))


def _clips(space: MotionSpace) -> list[SimpleNamespace]:
    random = np.random.default_rng(0)
    sizes = {"speech": 8, "expression": space.model.num_expression, "pose": 6}
    made = ({key: random.normal(size=(90, size)).astype(np.float32) for key, size in sizes.items()} for _ in range(24))
    return [SimpleNamespace(name=f"p{i}", person=f"p{i}", **values) for i, values in enumerate(made)]


def _space() -> MotionSpace:
    model = load_bundled()
    return MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))


def lip_expert() -> LipExpertTask:
    """Contrast between all windows of a batch."""
    torch.manual_seed(0)
    space = _space()
    return LipExpertTask(_clips(space), space, network={"width": 8, "embedding": 8, "dropout": 0.0})


def expression() -> ExpressionTask:
    """Means over masks, of which each process has another share."""
    expert = lip_expert().model.eval().requires_grad_(False)
    space = _space()
    config = MotionTransformerConfig(space.model.num_expression, 8, **MOTION)
    return ExpressionTask(_clips(space), space, config, lip_expert=expert, sync_weight=0.5, steps=2)


def speech() -> SpeechTask:
    """Means over masks, CTC over some examples, contrast between moments with a mouth."""
    recordings = made_up_recordings()
    for recording in recordings[::3]:
        recording.phones = None
    return SpeechTask(recordings, SPEECH, mouth=True, seconds=1.6)


def image(frames: Path):
    """Images that are shifted at random before they are compared."""
    task = autoencoder_task(frames)
    task.perceptual = ImageDistance()
    return task


def denoiser(frames: Path) -> unet.UNetTask:
    """Latents of whole heads."""
    torch.manual_seed(0)
    sections = {"autoencoder": str(frames / "autoencoder.safetensors"), "network": UNET}
    return task_of(unet, data=frames_section(frames), **sections)


def tasks(frames: Path) -> dict:
    """All tasks, by name; none has dropout."""
    made = {"lip_expert": lip_expert(), "expression": expression(), "speech": speech()}
    return {**made, "image": image(frames), "denoiser": denoiser(frames)}


def settings(output: Path, name: str) -> TrainingConfig:
    """For one of `tasks`; gradients are not clipped, which would hide wrong factors."""
    made = training(output / name, STEPS if name in ("expression", "begun") else FEW)
    made.gradient_clip = 1e9
    return made


def write_images(folder: Path) -> Path:
    """What `tasks` reads."""
    frames = write_frames(folder)
    save_autoencoder(autoencoder_task(frames).model, frames / "autoencoder.safetensors")
    return frames


def train_stopped(task, config: TrainingConfig) -> None:
    """Train until an interruption in step `STOPPED`."""
    loss, calls = task.loss, []

    def failing(model, batch):
        calls.append(1)
        if len(calls) > STOPPED:
            raise KeyboardInterrupt
        return loss(model, batch)

    task.loss = failing
    try:
        train(task, config)
    except KeyboardInterrupt:
        return
    raise AssertionError("not interrupted")


def main(folder: Path) -> None:
    """In each process: train all tasks; a line stopped, resumed and uninterrupted; resume what one process began."""
    state = connect_processes()
    assert number() == state.num_processes == 2
    with state.main_process_first():
        (folder / f"ready{state.process_index}").touch()
        assert state.process_index == 0 or (folder / "ready0").exists()
    made = {**tasks(folder / "pairs"), "begun": expression()}
    for task in [*made.values(), Line]:
        if state.process_index:  # only the first process writes and validates
            task.save = task.validate = None
    for name, task in made.items():
        train(task, settings(folder / "two", name))
    whole = Line()
    train(whole, training(folder / "whole", STEPS))
    train_stopped(Line(), training(folder / "stopped", STEPS))
    train(Line(), training(folder / "stopped", STEPS))
    (folder / f"dropout{state.process_index}").write_text(" ".join(map(str, whole.drawn)))
    limit = 0.0 if state.process_index == 0 else 1000.0
    assert train(Line(), training(folder / "limit", STEPS), max_minutes=limit)["step"] == 0
    odd = training(folder / "odd", STEPS)
    odd.batch_size = 5
    try:
        train(Line(), odd)
    except UsageError as error:
        assert "5" in str(error) and not (folder / "odd").exists()
    else:
        raise AssertionError("not refused")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
