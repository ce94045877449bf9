"""The lip expert: does this mouth say this? The frozen judge of L_sync (FD2Talk eq. 10-11).

Two stacks of convolutions over time, one over speech features and one over mouth vertices, see `WINDOW` frames each and
end in ReLU embeddings, so that their cosine lies in [0, 1] and can be read as the probability P_sync.
Trained by contrast: a window of mouth motion against the speech of the same moment, of other moments of the clip
(5 frames away or more), and of other clips.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stage1_motion.motion_space import MotionSpace

WINDOW = 17  # frames: four convolutions of 5
EPSILON = 1e-6  # of eq. 10


def _tower(inputs: int, width: int, embedding: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (inputs, width, width, width):
        layers += [nn.Conv1d(size, width, 5), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Conv1d(width, embedding, 1), nn.ReLU())


class LipExpert(nn.Module):
    """Embeds windows of speech [.., S] and of learned-space expression [.., D] (through the mouth vertices it moves).

    mouth_basis: [D, K] from learned coefficients to the K strongest components of mouth-vertex motion.
    """

    def __init__(self, speech_features: int, mouth_basis: Tensor, width: int = 96, embedding: int = 64,
                 dropout: float = 0.2):  # fmt: skip
        super().__init__()
        self.settings = {"speech_features": speech_features, "width": width, "embedding": embedding}
        self.register_buffer("mouth_basis", mouth_basis)
        self.speech = _tower(speech_features, width, embedding, dropout)
        self.mouth = _tower(2 * mouth_basis.shape[1], width, embedding, dropout)

    def embed_speech(self, speech: Tensor) -> Tensor:
        """[B, F, S] -> [B, F - WINDOW + 1, E], one embedding a window."""
        return self.speech(speech.transpose(1, 2)).transpose(1, 2)

    def embed_mouth(self, expression: Tensor) -> Tensor:
        """Learned-space expression [B, F, D] -> [B, F - WINDOW + 1, E]."""
        mouth = expression @ self.mouth_basis
        velocity = F.pad(mouth.diff(dim=1), (0, 0, 1, 0))
        return self.mouth(torch.cat([mouth, velocity], dim=-1).transpose(1, 2)).transpose(1, 2)

    def p_sync(self, expression: Tensor, speech: Tensor) -> Tensor:
        """Eq. 10 for every window: [B, F - WINDOW + 1] in [0, 1]."""
        v, a = self.embed_mouth(expression), self.embed_speech(speech)
        return (v * a).sum(-1) / (v.norm(dim=-1) * a.norm(dim=-1)).clamp(min=EPSILON)

    def sync_loss(self, expression: Tensor, speech: Tensor, mask: Tensor) -> Tensor:
        """Eq. 11, averaged over the windows all of whose frames count; mask: bool [B, F, 1]."""
        counted = mask[..., 0].float().unfold(1, WINDOW, 1).amin(-1)
        loss = -torch.log(self.p_sync(expression, speech).clamp(min=1e-3))
        return (loss * counted).sum() / counted.sum().clamp(min=1)

    def save(self, path: Path, **header: Any) -> None:
        """fp16 weights with the settings in the header."""
        tensors = {name: value.detach().half().contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(tensors, str(path), metadata={"lip_expert": json.dumps({**self.settings, **header})})

    @classmethod
    def load(cls, path: str | Path) -> LipExpert:
        """Read what `save` wrote; in eval mode, frozen."""
        with safe_open(str(path), "pt") as file:
            settings = json.loads(file.metadata()["lip_expert"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        names = ("speech_features", "width", "embedding")
        expert = cls(mouth_basis=tensors["mouth_basis"], **{name: settings[name] for name in names})
        expert.load_state_dict(tensors)
        return expert.eval().requires_grad_(False)


def mouth_basis(space: MotionSpace, components: int = 16) -> Tensor:
    """[D, K]: learned coefficients (unit variance) -> the strongest components of mouth-vertex motion, each of unit
    variance, so that the expert sees lips and nothing else of the face."""
    basis = space.model.exp_basis[:, space.model.groups["mouth"]]
    linear = space.expression_std[:, None] * basis.reshape(len(basis), -1)  # [D, 3 L] mm
    _, singular, axes = np.linalg.svd(linear, full_matrices=False)
    return torch.from_numpy((linear @ axes[:components].T / singular[:components]).astype(np.float32))
