"""`fd2talk train`: a YAML file names the model and its settings; every model is trained by `shared.training.loop`.

A config's `model:` key names an entry below, or a module of stage one or two. That module brings either
`build_task(config) -> Task`, trained step by step as the section `training:` says, or, for what is computed in closed
form, `run(config) -> figures`.
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
from shared.training.loop import TrainingConfig, train

MODULES = {
    "autoencoder": "stage2_render.training.autoencoder",
    "expression": "stage1_motion.models.fd2talk.training",
    "expression_and_pose": "stage1_motion.models.fd2talk.training",
    "face_model": "shared.face_model.training.task",
    "lip_expert": "stage1_motion.lip_expert.training",
    "phonetics": "stage1_motion.speech_events_training",
    "pose": "stage1_motion.models.fd2talk.training",
    "ridge": "stage1_motion.models.ridge.training",
    "speech_encoder": "shared.speech.training.task",
    "unet": "stage2_render.training.unet",
}


def train_config(path: str, *, resume: bool = True, max_minutes: float | None = None) -> dict[str, Any]:
    """Train what a config file describes, and print the validation figures and where the weights are.

    Raises InputError: not a config file, no such model, a setting that is missing.
    """
    config = read_config(path)
    module = model_module(config["model"], path)
    try:
        if hasattr(module, "run"):
            result = module.run(config)
        else:
            training = TrainingConfig.from_dict(config.get("training") or {})
            torch.manual_seed(training.seed)  # what the network's start is drawn from
            result = train(module.build_task(config), training, resume=resume, max_minutes=max_minutes)
    except PermissionError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
    for name, value in result.get("validation", {}).items():
        announce(f"{name}: {value:.4g}")
    announce(result["best"])
    return result


def read_config(path: str) -> dict[str, Any]:
    """A parsed config with at least the key `model`. Raises InputError: it is none."""
    try:
        config = yaml.safe_load(check_input(path).read_text(encoding="utf-8"))
    except (UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise InputError(f"{path}: not a training config, it has no line `model: NAME`")
    return _Config(path, config)


class _Config(dict):
    """The settings; asking for one that is not there is the file's fault."""

    def __init__(self, path: str, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self._path}: the setting {key!r} is missing")


def model_module(name: str, source: str | Path) -> ModuleType:
    """The module that trains the model `name`. Raises InputError: there is none."""
    if name not in MODULES:
        raise InputError(f"{source}: there is no model {name!r} to train (there are: {', '.join(sorted(MODULES))})")
    return import_module(MODULES[name])
