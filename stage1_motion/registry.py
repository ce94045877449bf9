"""Motion models by name: one registry for generating, training and evaluating.

A model is a package with two modules. `model.py` has

    load(folder: Path, face_model: MorphableModel, *, person: Path | None, device) -> MotionModel

which reads the weights in a folder; `training.py` has what `fd2talk train` runs, `build_task(config) -> Task` (trained
step by step, see `shared.training.loop`) or `run(config) -> figures` (computed in closed form), and the dataclass
`Config` of its settings. Nothing is imported before it is needed. Besides the names below, the name of any importable
package with these two modules can be used, such as `my_lab.motion`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from shared.errors import InputError

MODELS = {
    "diface": "stage1_motion.models.diface",
    "diffposetalk": "stage1_motion.models.diffposetalk",
    "facepolicy": "stage1_motion.models.facepolicy",
    "fd2talk": "stage1_motion.models.fd2talk",
    "ridge": "stage1_motion.models.ridge",
}
BUNDLED = ("fd2talk", "diffposetalk", "diface", "facepolicy")
"""Those that speech drives and whose weights are in the repository; the first is the default."""
STYLED = ("diffposetalk",)
"""Those of them that take a speaking style (`MotionModel.accepts`)."""
PERSONALISED = "diface"
"""The one that can be fine-tuned on a person."""


def model_module(name: str) -> ModuleType:
    """The module with a model's `load`. Raises InputError: there is no such model."""
    return _module(name, "model")


def training_module(name: str) -> ModuleType:
    """The module that trains a model. Raises InputError: there is no such model."""
    return _module(name, "training")


def _module(name: str, part: str) -> ModuleType:
    place = MODELS.get(name, name)
    try:
        known = find_spec(f"{place}.{part}") is not None
    except (ImportError, ValueError):  # a parent package is missing, or it is no name of a package
        known = False
    if not known:
        raise InputError(
            f"there is no motion model {name!r} (there are: {', '.join(MODELS)}, and importable packages by name)"
        )
    return import_module(f"{place}.{part}")
