"""A folder of untrained DiffPoseTalk weights that take a style, with a named one."""

import numpy as np
import torch
import yaml

from shared.checkpoint import save_checkpoint
from shared.face_model import load_bundled
from stage1_motion.models.diffposetalk.model import KIND
from stage1_motion.models.diffposetalk.network import Denoiser, DenoiserConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style import Style
from stage1_motion.style.encoder import StyleEncoder, StyleEncoderConfig, StyleReader


def write_diffposetalk(folder):
    """Write it and return the folder."""
    torch.manual_seed(0)
    model = load_bundled()
    size, std = model.num_expression + 6, {"expression_std": [0.5] * model.num_expression, "pose_std": [0.02] * 6}
    space = MotionSpace(model, *(np.array(value, np.float32) for value in std.values()))
    rows = (np.append(row, np.zeros(6)).astype(np.float32) for row in (space.gap_row(), space.opening()))
    encoder = StyleEncoder(StyleEncoderConfig(size, 8, 1, 2, frames=20, shortest=10), *map(torch.from_numpy, rows))
    encoder.save(folder / "style_encoder.safetensors", space=space)
    config = DenoiserConfig(size, 256, model.num_identity, 8, width=16, layers=1, heads=2, frames=20, context=6)
    header = {"sampler": {"steps": 2}, "normalise_speech": True, "fps": 25.0, "face_model": model.fingerprint, **std}
    path = folder / "denoiser.safetensors"
    save_checkpoint(path, KIND, Denoiser(config).state_dict(), config=config.to_dict(), **header)
    (folder / "model.yaml").write_text(yaml.safe_dump({"model": "diffposetalk", "speech_encoder": "bundled"}))
    reader = StyleReader.load(folder / "style_encoder.safetensors", model)
    (folder / "styles").mkdir()
    Style(np.eye(8, dtype=np.float32)[0], reader.fingerprint, "nobody").save(folder / "styles" / "calm.npz")
    return folder
