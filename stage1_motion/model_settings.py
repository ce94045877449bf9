"""The ``model.yaml`` of a folder of weights: which motion model, and which speech encoder it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from shared.errors import InputError


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the ``model.yaml`` of a folder of weights. Raises InputError: there is none, or it is not one."""
    path = folder / "model.yaml"
    kinds = {"model": str, "speech_encoder": str, "layer": int, "resample": str, "style": str}
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "; if it is a person's, use --person" if (folder / "denoiser.safetensors").is_file() else ""
        raise InputError(
            f"{folder}: not a folder of motion model weights (model.yaml: {error.strerror}){hint}"
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(settings, dict) or not {"model", "speech_encoder"} <= settings.keys() <= kinds.keys():
        raise InputError(f"{path}: must have the keys model and speech_encoder, and may have layer, resample and style")
    for key, value in settings.items():
        if type(value) is not kinds[key] or value == "":
            raise InputError(f"{path}: {key} is {value!r}, not a {'number' if kinds[key] is int else 'name'}")
    return settings
