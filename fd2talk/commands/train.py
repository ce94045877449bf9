"""`fd2talk train`: a YAML file names the model and its settings; every model is trained by `shared.training.loop`.

The key `model:` of a config names an entry of `MODULES`, or a motion model as `stage1_motion.registry` knows it. Its
training module has either `build_task(config) -> Task`, trained step by step as the section `training:` says, or
`run(config) -> figures` for what is computed in closed form.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml

from fd2talk.terminal import announce
from shared.errors import InputError, UsageError
from shared.files import check_input
from shared.training.config import TrainingConfig
from shared.training.loop import connect_processes, train
from stage1_motion.registry import MODELS, training_module

MODULES = {
    "autoencoder": "stage2_render.training.autoencoder",
    "face_model": "shared.face_model.training.task",
    "lip_expert": "stage1_motion.lip_expert.training",
    "speech_events": "stage1_motion.speech_events_training",
    "speech_encoder": "shared.speech.training.task",
    "unet": "stage2_render.training.unet",
}


def train_config(path: str, *, resume: bool = True, max_minutes: float | None = None) -> dict[str, Any]:
    """Train what a config file describes, and print the validation figures and the folder of the weights.

    Args:
        path: of the YAML file.
        resume: whether to resume from the last checkpoint, where there is one.
        max_minutes: stop after so many minutes; None for no limit.

    Returns:
        What the training reports: at least `best`, the folder of the weights.

    Raises:
        InputError: not a config file, no such model, or a setting that is missing.
        UsageError: the output folder cannot be written to.
    """
    config = read_config(path)
    module = model_module(config["model"], path)
    processes = connect_processes()
    try:
        if hasattr(module, "run"):
            if not processes.is_main_process:  # nothing to share
                return {}
            result = module.run(config)
        else:
            training = TrainingConfig.from_dict(config.get("training") or {})
            torch.manual_seed(training.seed)  # of the network's initial weights
            with processes.main_process_first():  # it fills the caches that the others read
                task = module.build_task(config)
            result = train(task, training, resume=resume, max_minutes=max_minutes)
    except PermissionError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
    if not processes.is_main_process:
        return result
    for name, value in result.get("validation", {}).items():
        announce(f"{name}: {value:.4g}")
    announce(result["best"])
    return result


def read_config(path: str) -> dict[str, Any]:
    """Read a config file. Raises InputError when it is not YAML with a key `model`."""
    try:
        config = yaml.safe_load(check_input(path).read_text(encoding="utf-8"))
    except (UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise InputError(f"{path}: not a training config (it has no line `model: NAME`)")
    return _Config(path, config)


class _Config(dict):
    """The settings; a missing one is reported with the name of the file."""

    def __init__(self, path: str, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self._path}: the setting {key!r} is missing")


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
