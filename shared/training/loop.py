"""One training loop for every model of the project, on accelerate: CPU or GPU, resumable after an abort at any moment.

A model defines a `Task`: its network, its batches, its loss and its validation. The loop adds AdamW, warm-up and cosine
decay, gradient clipping, averaged (EMA) weights, logs, atomic checkpoints and the best weights so far.

All random numbers of step n come from a generator seeded by (seed, n). A run that was aborted and resumed therefore
yields the same weights as an uninterrupted one, bit for bit on a CPU, and no random state is stored. Batches are drawn
in a thread, ahead of the step that uses them.

`accelerate launch` runs the loop in several processes, one for each GPU. All draw the same batch; process r of N keeps
examples r, r + N, r + 2 N ... Losses and gradients are averaged over the processes and equal those of one process; only
dropout differs, seeded by (seed, n, r). The first process alone validates and writes files; meanwhile the
others wait in the next step for its gradients.
"""

from __future__ import annotations

import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.utils import parse_flag_from_env, send_to_device
from torch import Tensor, nn
from tqdm import tqdm

from shared import processes
from shared.errors import Fd2TalkError, UsageError
from shared.precision import has_fast_bf16
from shared.training.batches import batches_from, step_seed
from shared.training.config import TrainingConfig
from shared.training.log import TrainingLog

# How long processes wait for one that validates or builds a cache; the default of NCCL is ten minutes.
_TIMEOUT = timedelta(hours=12)
# Distance of the processes' seeds: odd, and far apart in the 32 bits that torch's generator of the CPU takes.
_PROCESS_SEED = 2_654_435_761


Network = TypeVar("Network", bound=nn.Module)


class Task(Protocol[Network]):
    """The parts of a training that the model defines.

    A task that owns frozen networks or constant tensors may also have `.to(device)`; the loop calls it once.
    """

    model: Network

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw a random batch on the CPU, from `generator` alone; may run in threads beside `loss` and `validate`.

        Tensors have a row for each example, or for each of the first examples; an int is a number of first examples.
        The loop takes a process's share of both and moves tensors to the device; what is slow to read need be read only
        for that share, see `own_rows` and `OwnRows` in `shared.training.batches`.
        """
        ...

    def loss(self, model: Network, batch: dict[str, Any]) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """Return the scalar to minimise and named parts of it for the log; runs under autocast.

        On several processes `batch` is a share: what is not a mean over examples needs `shared.processes`.
        """
        ...

    def validate(self, model: Network) -> dict[str, float]:
        """Return figures of the (averaged, eval-mode) model on held-out data; the highest "score" selects the best.

        Runs on the first process alone.
        """
        ...

    def save(self, model: Network, folder: Path) -> None:
        """Write deployable weights, and everything needed to load them, into an existing empty folder."""
        ...


def train(
    task: Task[Network],
    config: TrainingConfig,
    *,
    resume: bool = True,
    max_minutes: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Train `task.model` to `config.max_steps` or until the time limit, continuing from a checkpoint if there is one.

    Args:
        task: the model and its data.
        config: the settings.
        resume: continue from `output/checkpoint.pt` if it exists; otherwise restart and replace it.
        max_minutes: overrides `config.max_minutes`.
        progress: called with (steps done, steps in all); None: there is a bar.

    Returns:
        {"step", "finished", "best_score", "best" (folder), "validation" (last figures)}; scores and figures are known
        to the first process alone.

    Raises:
        Fd2TalkError: the loss is not finite, or the checkpoint belongs to another model.
        UsageError: the batch cannot be divided among the processes.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    limit = max_minutes if max_minutes is not None else config.max_minutes
    connect_processes()
    # Tasks whose loss leaves parts of the model out in some steps need `find_unused_parameters`.
    accelerator = Accelerator(
        mixed_precision="no", kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    device, first = accelerator.device, accelerator.is_main_process
    if config.batch_size % accelerator.num_processes:
        raise UsageError(
            f"training.batch_size {config.batch_size} is not divisible by {accelerator.num_processes} processes"
        )
    # Not accelerate's autocast: it fixes the precision of a process at its first training; the next may need another.
    bf16 = config.precision == "bf16" or config.precision == "auto" and has_fast_bf16(device)
    autocast = partial(torch.autocast, device.type, torch.bfloat16) if bf16 else nullcontext
    output = Path(config.output)
    is_new = not output.exists()
    if first:
        output.mkdir(parents=True, exist_ok=True)
        _recover_best(output)

    plain_model = task.model.to(device)
    if hasattr(task, "to"):
        task.to(device)
    optimizer = torch.optim.AdamW(
        _parameter_groups(plain_model, config.weight_decay), lr=config.learning_rate, betas=(0.9, config.beta2)
    )
    model, optimizer = accelerator.prepare(_Loss(task, plain_model), optimizer)
    averaged = copy.deepcopy(plain_model).eval().requires_grad_(False)

    checkpoint_path = output / "checkpoint.pt"
    stateful = {"model": plain_model, "averaged": averaged, "optimizer": optimizer}
    step, best_score, validation = 0, -math.inf, {}
    if resume and checkpoint_path.exists():
        state = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        try:
            for name, part in stateful.items():
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise Fd2TalkError(
                f"{checkpoint_path} belongs to a different model; use --no-resume or another output folder"
            ) from error
        step, best_score, validation = state["step"], state["best_score"], state["validation"]
    log = TrainingLog(output, first_step=step) if first else None

    def save_checkpoint() -> None:
        state = {name: part.state_dict() for name, part in stateful.items()}
        state |= {"step": step, "best_score": best_score, "validation": validation}
        temporary = checkpoint_path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, checkpoint_path)

    def validate() -> None:
        nonlocal best_score, validation
        assert log is not None  # the first process alone validates
        with torch.no_grad(), autocast():
            validation = {name: float(value) for name, value in task.validate(averaged).items()}
        log.write(step, "validation", validation)
        if validation["score"] > best_score:
            best_score = validation["score"]
            _replace_best(task, averaged, output)

    started = last_save = time.monotonic()

    def in_time() -> bool:
        if limit is None:
            return True
        within = time.monotonic() - started < 60 * limit
        return bool(processes.same(torch.tensor(int(within)), device))  # the clocks of the processes differ

    hidden = not first or progress is not None
    bar = tqdm(total=config.max_steps, initial=step, unit="step", mininterval=2.0, dynamic_ncols=True, disable=hidden)
    # The bar is closed also where this is stopped: what is said then needs a line of its own.
    begun = _removed_unless(output if first and is_new else None, lambda: step > 0)
    with bar, begun, closing(batches_from(step, task.batch, config, accelerator)) as batches:
        while step < config.max_steps and in_time():
            batch = send_to_device(next(batches), device, non_blocking=True)
            # One seed per step for the task's generator and for dropout: resuming needs nothing but the step.
            torch.manual_seed(step_seed(config.seed, step) + _PROCESS_SEED * accelerator.process_index)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            model.train()
            with autocast():
                loss, parts = model(batch)
            if not torch.isfinite(loss):
                best = output / "best"
                kept = f"best weights so far are in {best}" if best.exists() else "there are no weights yet"
                raise Fd2TalkError(f"the loss is {loss.item()} at step {step}; {kept}")
            optimizer.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimizer.step()
            step += 1
            _average(averaged, plain_model, config.ema_decay, step)

            if step % 20 == 0 or step == 1:
                own = {"loss": loss.item(), **{name: float(value) for name, value in parts.items()}}
                means = accelerator.reduce(torch.tensor(list(own.values()), device=device, dtype=torch.float32), "mean")
                figures = dict(zip(own, means.tolist()))
                if log is not None:
                    log.write(step, "train", {**figures, "learning_rate": learning_rate(step - 1, config)})
                bar.set_postfix(loss=f"{figures['loss']:.4f}", score=f"{best_score:.4f}", refresh=False)
            bar.update()
            if progress is not None:
                progress(step, config.max_steps)
            if first and step % config.validate_every == 0:
                validate()
            if first and time.monotonic() - last_save > config.save_every:
                save_checkpoint()
                last_save = time.monotonic()
    if log is not None:
        if step % config.validate_every or not validation:
            validate()
        save_checkpoint()
        log.close()
    accelerator.wait_for_everyone()
    return {
        "step": step,
        "finished": step >= config.max_steps,
        "best_score": best_score,
        "best": str(output / "best"),
        "validation": validation,
    }


@contextmanager
def _removed_unless(folder: Path | None, begun: Callable[[], bool]) -> Iterator[None]:
    """Leave nothing of a training that fails before its first step has been made: its data cannot be read, say."""
    try:
        yield
    except BaseException:
        if folder is not None and not begun():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def connect_processes() -> PartialState:
    """Connect to the other processes of `accelerate launch`, if there are any and this is not done.

    `with connect_processes().main_process_first():` lets the first process fill caches that the others then read.
    """
    launched_without_gpu = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or launched_without_gpu, timeout=_TIMEOUT)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine decay to zero at `max_steps` (or constant)."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if config.schedule == "constant":
        return config.learning_rate * warmup
    progress = max(0, step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class _Loss(nn.Module):
    """A task's loss as a module: averages gradients over processes whatever methods of the model the loss calls."""

    def __init__(self, task: Task[Network], model: Network) -> None:
        super().__init__()
        self.loss, self.model = task.loss, model

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        loss, parts = self.loss(self.model, batch)
        return loss, {name: part.detach() if isinstance(part, Tensor) else part for name, part in parts.items()}


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
    for buffer, current in zip(averaged.buffers(), model.buffers(), strict=True):
        buffer.copy_(current)


def _replace_best(task: Task[Network], model: Network, output: Path) -> None:
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
