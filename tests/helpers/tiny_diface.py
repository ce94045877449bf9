"""A folder of untrained 3DiFACE weights, on log-mel energies, and motion to fine-tune them on."""

import numpy as np
import torch
import yaml

from shared.checkpoint import save_checkpoint
from shared.face_model import load_bundled
from shared.motion import Motion
from stage1_motion.models.diface.model import KIND
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig

SPEECH = 40


def write_diface(folder, seed=0, unconditional_width=0, **changes):
    """Write it and return the folder; changes: to the header of the weights."""
    torch.manual_seed(seed)
    model = load_bundled()
    sizes = {"width": 8, "speech_width": 8, "kernel": 3, "levels": 1, "unconditional_width": unconditional_width}
    config = DenoiserConfig(3 * model.num_vertices + 6, SPEECH, people=2, **sizes)
    network = Denoiser(config)
    header = {
        "config": config.to_dict(),
        "face_model": model.fingerprint,
        "expression_std": [0.5] * model.num_expression,
        "pose_std": [0.02] * 6,
        "scale": 20.0,
        "head": True,
        "sampler": {"steps": 2},
        "fps": 25.0,
        "loss": {"frames": 8},
        "speech_encoder": "log-mel",
    }
    tensors = {**network.state_dict(), "sampled_person": network.person.weight[1].detach()}
    save_checkpoint(folder / "denoiser.safetensors", KIND, tensors, **{**header, **changes})
    (folder / "model.yaml").write_text(yaml.safe_dump({"model": "diface", "speech_encoder": "log-mel"}))
    return folder


def talking(frames=100, seed=0, **changes):
    """Motion of somebody who moves and makes noise; changes: to arguments of `Motion`."""
    model, random = load_bundled(), np.random.default_rng(seed)
    values = {
        "expression": random.normal(0, 0.5, (frames, model.num_expression)),
        "rotation": random.normal(0, 0.02, (frames, 3)),
        "translation": np.zeros((frames, 3)),
        "face_model": model.fingerprint,
        "audio": random.normal(0, 0.1, frames * 640).astype(np.float32),
        "identity": np.zeros(model.num_identity),
        "source": f"{seed}.mp4",
    }
    return Motion(**{**values, **changes})
