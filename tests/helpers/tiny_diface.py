"""A folder of untrained 3DiFACE weights."""

import torch
import yaml

from shared.checkpoint import save_checkpoint
from shared.face_model import load_bundled
from stage1_motion.models.diface.model import KIND
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig


def write_diface(folder):
    """Write it and return the folder."""
    torch.manual_seed(0)
    model = load_bundled()
    config = DenoiserConfig(3 * model.num_vertices + 6, 256, 1, width=8, speech_width=8, levels=1, train_timesteps=20)
    network = Denoiser(config)
    save_checkpoint(
        folder / "denoiser.safetensors",
        KIND,
        {**network.state_dict(), "sampled_person": network.person.weight[0].detach()},
        config=config.to_dict(),
        face_model=model.fingerprint,
        expression_std=[0.5] * model.num_expression,
        pose_std=[0.02] * 6,
        scale=20.0,
        head=True,
        sampler={"steps": 2},
        fps=25.0,
        loss={},
    )
    (folder / "model.yaml").write_text(yaml.safe_dump({"model": "diface", "speech_encoder": "bundled"}))
    return folder
