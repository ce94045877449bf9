"""One training loop for every model of the project, on accelerate: CPU or GPU, resumable after an abort at any moment.

A model defines a `Task`: its network, its batches, its loss and its validation. The loop adds AdamW, warm-up and cosine
decay, gradient clipping, averaged (EMA) weights, logs, atomic checkpoints and the best weights so far.

All random numbers of step n come from a generator seeded by (seed, n). A run that was aborted and resumed therefore
yields the same weights as an uninterrupted one, bit for bit on a CPU, and no random state is stored.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from tqdm import tqdm

from shared.errors import Fd2TalkError
from shared.precision import has_fast_bf16
from shared.training.config import TrainingConfig

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # TensorBoard is optional: log.csv contains the same numbers
    SummaryWriter = None


class Task(Protocol):
    """The parts of a training that the model defines.

    A task that owns frozen networks or constant tensors may also have `.to(device)`; the loop calls it once.
    """

    model: nn.Module

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw a random batch on the CPU, from `generator` alone; the loop moves its tensors to the device."""
        ...

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the scalar to minimise and named parts of it for the log; runs under autocast."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return figures of the (averaged, eval-mode) model on held-out data; the highest "score" selects the best."""
        ...

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write deployable weights, and everything needed to load them, into an existing empty folder."""
        ...


def train(
    task: Task, config: TrainingConfig, *, resume: bool = True, max_minutes: float | None = None
) -> dict[str, Any]:
    """Train `task.model` to `config.max_steps` or until the time limit, continuing from a checkpoint if there is one.

    Args:
        task: the model and its data.
        config: the settings.
        resume: continue from `output/checkpoint.pt` if it exists; otherwise restart and replace it.
        max_minutes: overrides `config.max_minutes`.

    Returns:
        {"step", "finished", "best_score", "best" (folder), "validation" (last figures)}.

    Raises:
        Fd2TalkError: the loss is not finite, or the checkpoint belongs to another model.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    limit = max_minutes if max_minutes is not None else config.max_minutes
    # accelerate fixes the precision of a process at its first training; the next may need another.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=_precision(config.precision))
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    _recover_best(output)

    plain_model = task.model.to(accelerator.device)
    if hasattr(task, "to"):
        task.to(accelerator.device)
    averaged = copy.deepcopy(plain_model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        _parameter_groups(plain_model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.99)
    )
    model, optimizer = accelerator.prepare(plain_model, optimizer)

    checkpoint_path = output / "checkpoint.pt"
    stateful = {"model": plain_model, "averaged": averaged, "optimizer": optimizer}
    step, best_score, validation = 0, -math.inf, {}
    if resume and checkpoint_path.exists():
        state = torch.load(checkpoint_path, map_location=accelerator.device, weights_only=True)
        try:
            for name, part in stateful.items():
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise Fd2TalkError(
                f"{checkpoint_path} belongs to a different model; use --no-resume or another output folder"
            ) from error
        step, best_score, validation = state["step"], state["best_score"], state["validation"]
    log = _Log(output, first_step=step)

    def save_checkpoint() -> None:
        state = {name: part.state_dict() for name, part in stateful.items()}
        state |= {"step": step, "best_score": best_score, "validation": validation}
        temporary = checkpoint_path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, checkpoint_path)

    def validate() -> None:
        nonlocal best_score, validation
        with torch.no_grad(), accelerator.autocast():
            validation = {name: float(value) for name, value in task.validate(averaged).items()}
        log.write(step, "validation", validation)
        if validation["score"] > best_score:
            best_score = validation["score"]
            _replace_best(task, averaged, output)

    started = last_save = time.monotonic()
    bar = tqdm(total=config.max_steps, initial=step, unit="step", mininterval=2.0, dynamic_ncols=True)
    while step < config.max_steps and (limit is None or time.monotonic() - started < 60 * limit):
        # One seed per step for the task's generator and for dropout: resuming needs nothing but the step.
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        torch.manual_seed(config.seed * 1_000_003 + step)
        batch = {
            name: _to(value, accelerator.device) for name, value in task.batch(generator, config.batch_size).items()
        }
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        model.train()
        with accelerator.autocast():
            loss, parts = task.loss(model, batch)
        if not torch.isfinite(loss):
            raise Fd2TalkError(
                f"the loss is {loss.item()} at step {step}; best weights so far are in {output / 'best'}"
            )
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        step += 1
        _average(averaged, plain_model, config.ema_decay, step)

        if step % 20 == 0 or step == 1:
            with torch.no_grad():
                figures = {"loss": loss.item(), **{name: float(value) for name, value in parts.items()}}
            log.write(step, "train", {**figures, "learning_rate": learning_rate(step - 1, config)})
            bar.set_postfix(loss=f"{figures['loss']:.4f}", score=f"{best_score:.4f}", refresh=False)
        bar.update()
        if step % config.validate_every == 0:
            validate()
        if time.monotonic() - last_save > config.save_every:
            save_checkpoint()
            last_save = time.monotonic()
    bar.close()
    if step % config.validate_every or not validation:
        validate()
    save_checkpoint()
    log.close()
    return {
        "step": step,
        "finished": step >= config.max_steps,
        "best_score": best_score,
        "best": str(output / "best"),
        "validation": validation,
    }


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine decay to zero at `max_steps` (or constant)."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if config.schedule == "constant":
        return config.learning_rate * warmup
    progress = max(0, step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _precision(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "bf16" if has_fast_bf16("cuda" if torch.cuda.is_available() else "cpu") else "no"


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, gains and other vectors do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average; the decay starts small, so that the random initial weights are soon forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    for target, source in zip(averaged.parameters(), model.parameters(), strict=True):
        target.lerp_(source.to(target.dtype), 1 - decay)
    for target, source in zip(averaged.buffers(), model.buffers(), strict=True):
        target.copy_(source)


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def _replace_best(task: Task, model: nn.Module, output: Path) -> None:
    """Replace the best weights; after an abort in between, either the old or the new ones remain (`_recover_best`)."""
    new, best, old = output / "best.new", output / "best", output / "best.old"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    task.save(model, new)
    if best.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(best, old)
    os.replace(new, best)
    shutil.rmtree(old, ignore_errors=True)


def _recover_best(output: Path) -> None:
    if not (output / "best").exists() and (output / "best.old").exists():
        os.replace(output / "best.old", output / "best")


class _Log:
    """`log.csv` with rows (step, phase, name, value), and the same numbers for TensorBoard."""

    def __init__(self, output: Path, first_step: int) -> None:
        path = output / "log.csv"
        kept = []
        if first_step and path.exists():  # steps after the checkpoint are repeated, and logged again
            with open(path, newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == 4][1:]
            kept = [row for row in rows if int(row[0]) <= first_step]
        self.file = open(path, "w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerows([["step", "phase", "name", "value"], *kept])
        self.board = SummaryWriter(str(output)) if SummaryWriter else None

    def write(self, step: int, phase: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.writer.writerow([step, phase, name, f"{value:.6g}"])
            if self.board:
                self.board.add_scalar(f"{phase}/{name}", value, step)
        self.file.flush()

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()
