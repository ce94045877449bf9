"""The lip expert scores whether lips and speech are in sync: the frozen network of L_sync (FD2Talk eq. 10-11).

Two stacks of convolutions over time, one over speech features and one over mouth vertices, each with a field of
`WINDOW` frames. They end in ReLU embeddings, so that their cosine is in [0, 1] and stands for the probability P_sync.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.processes import mean_count
from stage1_motion.motion_space import MotionSpace

WINDOW = 17  # frames: four convolutions of 5
EPSILON = 1e-6  # of eq. 10
_KIND = "lip expert"


def _tower(inputs: int, width: int, embedding: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (inputs, width, width, width):
        layers += [nn.Conv1d(size, width, 5), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Conv1d(width, embedding, 1), nn.ReLU())


class LipExpert(nn.Module):
    """Embeds windows of speech and of expression, the latter through the mouth vertices that it moves.

    Args:
        speech_features: S.
        mouth_basis: [D, K], from coefficients in the motion space to the K strongest components of mouth-vertex motion.
    """

    mouth_basis: Tensor

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
        """Expression in the motion space [B, F, D] -> [B, F - WINDOW + 1, E]."""
        mouth = expression @ self.mouth_basis  # [B, F, K]
        velocity = F.pad(mouth.diff(dim=1), (0, 0, 1, 0))  # [B, F, K]
        return self.mouth(torch.cat([mouth, velocity], dim=-1).transpose(1, 2)).transpose(1, 2)

    def p_sync(self, expression: Tensor, speech: Tensor) -> Tensor:
        """Eq. 10 for every window: [B, F - WINDOW + 1] in [0, 1]."""
        v, a = self.embed_mouth(expression), self.embed_speech(speech)  # [B, F - WINDOW + 1, E] each
        return (v * a).sum(-1) / (v.norm(dim=-1) * a.norm(dim=-1)).clamp(min=EPSILON)

    def sync_loss(self, expression: Tensor, speech: Tensor, mask: Tensor) -> Tensor:
        """Eq. 11, averaged over the windows all of whose frames count; mask: bool [B, F, 1]."""
        counted = mask[..., 0].float().unfold(1, WINDOW, 1).amin(-1)  # [B, F - WINDOW + 1]
        loss = -torch.log(self.p_sync(expression, speech).clamp(min=1e-3))
        return (loss * counted).sum() / mean_count(counted.sum())

    def save(self, path: Path, **header: Any) -> None:
        """Write weights, settings and `header`."""
        save_checkpoint(path, _KIND, self.state_dict(), config=self.settings, **header)

    @classmethod
    def load(cls, path: str | Path) -> LipExpert:
        """Read what `save` wrote; in eval mode, frozen. Raises InputError: no such file."""
        tensors, header = load_checkpoint(path, _KIND)
        with described_as(path, _KIND):
            expert = cls(mouth_basis=tensors["mouth_basis"], **header["config"])
            expert.load_state_dict(tensors)
        return expert.eval().requires_grad_(False)


def mouth_basis(space: MotionSpace, components: int = 16) -> Tensor:
    """[D, K]: coefficients in the motion space -> the strongest components of mouth-vertex motion.

    Each has unit variance. The rest of the face is no input of the expert.
    """
    basis = space.model.exp_basis[:, space.model.groups["mouth"]]
    linear = space.expression_std[:, None] * basis.reshape(len(basis), -1)  # [D, 3 L] mm
    _, singular, axes = np.linalg.svd(linear, full_matrices=False)
    return torch.from_numpy((linear @ axes[:components].T / singular[:components]).astype(np.float32))
