"""The backbones that Table 2 (a) compares the convolutions with: attention to speech, and FaceFormer's decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stage1_motion.models.diface.network import ConvolutionBackbone, DenoiserConfig, sinusoid

_HEADS = 4
_LAYERS = 2
_PERIOD = 25  # frames of FaceFormer's periodic positions


class AttentionBlock(nn.Module):
    """In place of a condition block, cross-attention to the audio features, as in MoFusion.

    [B, C, N], [B, A, N] -> [B, C, N].
    """

    def __init__(self, width: int, speech_width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, _HEADS, kdim=speech_width, vdim=speech_width, batch_first=True)

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        # Attention by itself does not know which frame is when.
        place = sinusoid(torch.arange(h.shape[-1], device=h.device), h.shape[1])  # [N, C]
        query = self.norm(h.mT) + place
        key = speech.mT + sinusoid(torch.arange(speech.shape[-1], device=h.device), speech.shape[1])
        return h + self.attention(query, key, speech.mT, need_weights=False)[0].mT


class FaceFormerBackbone(nn.Module):
    """FaceFormer's decoder (Fan et al. 2022): causal self-attention with a bias, cross-attention to a frame's speech.

    [B, C, N], [B, A, N] -> [B, C, N].
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        width = config.width
        layer = nn.TransformerDecoderLayer(width, _HEADS, 2 * width, config.dropout, batch_first=True)
        self.speech = nn.Linear(config.speech_width, width)
        self.decoder = nn.TransformerDecoder(layer, _LAYERS)

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        frames = h.shape[-1]
        index = torch.arange(frames, device=h.device)
        periodic = sinusoid(index % _PERIOD, h.shape[1])  # [N, C]
        past = (index[:, None] - index[None]) // _PERIOD  # whole periods back
        slopes = torch.tensor([2 ** (-8 * (k + 1) / _HEADS) for k in range(_HEADS)], device=h.device)
        bias = torch.where(past[None] >= 0, -slopes[:, None, None] * past, -math.inf)  # [heads, N, N]
        bias = torch.where(index[:, None] >= index[None], bias, -math.inf).repeat(len(h), 1, 1)
        aligned = torch.where(torch.eye(frames, dtype=torch.bool, device=h.device), 0.0, -math.inf)
        out = self.decoder(h.mT + periodic, self.speech(speech.mT), tgt_mask=bias, memory_mask=aligned)
        return out.mT


def backbone(config: DenoiserConfig) -> nn.Module:
    """The backbone of that name."""
    if config.backbone == "attention":
        return ConvolutionBackbone(config, AttentionBlock)
    return FaceFormerBackbone(config)
