"""`fd2talk train`: a YAML file names the model and its settings; every model is trained by `shared.training.loop`.

The key `model:` of a config names an entry of `MODULES`, or a motion model as `stage1_motion.registry` knows it. Its
training module has either `build_task(config) -> Task`, trained step by step as the section `training:` says, or
`run(config) -> figures` for what is computed in closed form. `Config` of the module, a dataclass (or a union of some),
declares the other keys and sections of the file; without it the function receives the file's content, unchecked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from fd2talk.terminal import announce
from shared.config import Config
from shared.errors import InputError, UsageError
from shared.schema import build
from shared.training.config import TrainingConfig
from shared.training.loop import connect_processes, train
from stage1_motion.registry import MODELS, training_module

MODULES = {
    "autoencoder": "stage2_render.training.autoencoder",
    "face_model": "shared.face_model.training.task",
    "lip_expert": "stage1_motion.lip_expert.training",
    "speech_events": "stage1_motion.speech_events_training",
    "speech_encoder": "shared.speech.training.task",
    "repair": "stage2_render.training.repair.task",
    "style_encoder": "stage1_motion.style.training",
    "unet": "stage2_render.training.unet",
}
_COMMON = ("model", "data_root")


@dataclass(frozen=True)
class Training:
    """A config whose every key has been checked.

    Args:
        module: what trains the model.
        config: the module's `Config`, or a dict where it has none.
        loop: the section `training:`; None for a model in closed form.
    """

    module: ModuleType
    config: Any
    loop: TrainingConfig | None


def train_config(
    path: str | Path, overrides: Iterable[str] = (), *, resume: bool = True, max_minutes: float | None = None
) -> dict[str, Any]:
    """Train what a config file describes, and print the validation figures and the folder of the weights.

    Args:
        path: of the YAML file.
        overrides: changes to it, such as ``training.max_steps=10``.
        resume: whether to resume from the last checkpoint, where there is one.
        max_minutes: stop after so many minutes; None for no limit.

    Returns:
        What the training reports: at least `best`, the folder of the weights.

    Raises:
        InputError: not a config file, no such model, or a setting that is unknown, missing or of another type.
        UsageError: the output folder cannot be written to, or an override is not KEY=VALUE.
    """
    training = check_training(Config.load(path, overrides))
    processes = connect_processes()
    try:
        if training.loop is None:
            if not processes.is_main_process:  # nothing to share
                return {}
            result = training.module.run(training.config)
        else:
            torch.manual_seed(training.loop.seed)  # of the network's initial weights
            with processes.main_process_first():  # it fills the caches that the others read
                task = training.module.build_task(training.config)
            result = train(task, training.loop, resume=resume, max_minutes=max_minutes)
    except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
    if not processes.is_main_process:
        return result
    for name, value in result.get("validation", {}).items():
        announce(f"{name}: {value:.4g}")
    announce(result["best"])
    return result


def check_training(config: Config) -> Training:
    """Check every section and key of a training config.

    Raises:
        InputError: there is no such model, or a setting is unknown, missing or of another type.
    """
    values = config.resolved()
    if not isinstance(values.get("model"), str):
        raise InputError(f"{config.name}: not a training config (it has no line `model: NAME`)")
    module = model_module(values["model"], config.name)
    steps = () if hasattr(module, "run") else ("training",)
    own: Any = values
    if hasattr(module, "Config"):
        own = {key: value for key, value in values.items() if key not in (*_COMMON, *steps)}
        own = build(config, module.Config, own, also=(*steps, *_COMMON))
    elif steps and "training" not in values:
        raise InputError(f"{config.name}: the section `training` is missing (there are: {', '.join(values)})")
    loop = build(config, TrainingConfig, values.get("training"), ("training",)) if steps else None
    return Training(module, own, loop)


def model_module(name: str, source: str | Path) -> ModuleType:
    """Import the module that trains a model.

    Args:
        name: of the model.
        source: the config file, for the message.

    Raises:
        InputError: there is no such model.
    """
    if name in MODULES:
        return import_module(MODULES[name])
    try:
        return training_module(name)
    except InputError:
        known = ", ".join(sorted({*MODULES, *MODELS}))
        raise InputError(f"{source}: there is no model {name!r} to train (there are: {known})") from None
