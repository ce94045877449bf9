"""One number to be learned: what the trainings of the test models share."""

import torch
import yaml
from torch import nn

from shared.checkpoint import save_checkpoint


class GainTask:
    """Learns that y = 2 x; the weights folder is one that `MotionPipeline` loads."""

    def __init__(self, name, **settings):
        self.model, self.settings = nn.Linear(1, 1), {"model": f"motion_models.{name}", "speech_encoder": "none"}
        self.settings |= settings

    def batch(self, generator, batch_size):
        return {"x": torch.randn(batch_size, 1, generator=generator)}

    def loss(self, model, batch):
        loss = (model(batch["x"]) - 2 * batch["x"]).square().mean()
        return loss, {"gain": loss}

    def validate(self, model):
        return {"score": -float((model.weight - 2).abs().sum())}

    def save(self, model, folder):
        save_checkpoint(folder / "gain.safetensors", "gain", model.state_dict())
        (folder / "model.yaml").write_text(yaml.safe_dump(self.settings))
