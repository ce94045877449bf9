"""FD2Talk's Expression Transformer and Pose Transformer (§3.2): diffusion transformers from speech to motion.

One architecture, two networks. A noisy coefficient sequence x_t [F, D] is denoised to x_0 in one prediction:

    c      = [embedding of t, speech features]      concatenated for every frame
    tau(c) = linear layer                           [F, width]
    block  = self-attention over the frames of x
             cross-attention, Q from x, K and V from tau(c), frame i sees frame j only if |i - j| <= k   (eq. 4, k = 3)
             MLP

Speech of any length is generated in windows. The last frames of one window are given to the next one clean, marked by
an extra input channel, as DiffPoseTalk does; the network has learned to continue them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class MotionTransformerConfig:
    """coefficients D and speech_features S per frame; alignment: k of eq. 4, None for no mask (an ablation: every
    frame sees all of the window's speech); window F and context C in frames: training sequences, of which the first C
    may be given."""

    coefficients: int
    speech_features: int
    width: int = 160
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    alignment: int | None = 3
    window: int = 64
    context: int = 12
    train_timesteps: int = 1000

    def to_dict(self) -> dict:
        """For the header of the weights file."""
        return asdict(self)

    @property
    def unsettled(self) -> int:
        """So many last frames of a window lack speech that comes after them. What sees all is given the usual k's."""
        return 3 if self.alignment is None else self.alignment


def alignment_mask(frames: int, k: int, device: torch.device | None = None) -> Tensor:
    """Eq. 4: bool [F, F], True where motion frame i may look at speech frame j."""
    index = torch.arange(frames, device=device)
    return (index[:, None] - index[None, :]).abs() <= k


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """[...] -> [..., width]: sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017)."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(width // 2, device=positions.device) / (width // 2))
    angles = positions.float()[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Attention(nn.Module):
    """Multi-head attention; queries from x, keys and values from `source`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [B, F, width], source [B, G, width], mask bool [F, G] (True: may look) -> [B, F, width]."""
        batch, frames, width = x.shape

        def split(y: Tensor) -> Tensor:  # [B, F, width] -> [B, heads, F, width / heads]
            return y.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)

        key, value = self.key_value(source).chunk(2, dim=-1)
        y = F.scaled_dot_product_attention(split(self.query(x)), split(key), split(value), attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(batch, frames, width))


class Block(nn.Module):
    """Self-attention, masked cross-attention to tau(c), MLP; each with pre-norm and a residual connection."""

    def __init__(self, config: MotionTransformerConfig):
        super().__init__()
        width = config.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, config.heads)
        self.cross_attention = Attention(width, config.heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, F, width], condition tau(c) [B, F, width], mask: eq. 4 or None -> [B, F, width]."""
        y = self.norms[0](x)
        x = x + self.dropout(self.self_attention(y, y))
        x = x + self.dropout(self.cross_attention(self.norms[1](x), condition, mask))
        return x + self.dropout(self.mlp(self.norms[2](x)))


class MotionTransformer(nn.Module):
    """theta_exp or theta_pose: (x_t, t, speech) -> x_0."""

    def __init__(self, config: MotionTransformerConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.coefficients + 1, width)  # + 1: which frames are given
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.tau = nn.Linear(width + config.speech_features, width)
        self.no_speech = nn.Parameter(torch.zeros(config.speech_features))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.coefficients)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, x: Tensor, timestep: Tensor, speech: Tensor, given: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """x [B, F, D]; timestep [B]; speech [B, F, S]; given bool [B, F, 1]: frames of x that are clean context;
        drop bool [B]: sequences whose speech is withheld (for guidance). Returns x_0 [B, F, D]."""
        batch, frames, _ = x.shape
        if given is None:
            given = torch.zeros(batch, frames, 1, dtype=torch.bool, device=x.device)
        if drop is not None:
            speech = torch.where(drop[:, None, None], self.no_speech.to(speech.dtype), speech)
        time = self.time(sinusoid(timestep, self.config.width))
        condition = self.tau(torch.cat([time[:, None].expand(-1, frames, -1), speech], dim=-1))
        position = sinusoid(torch.arange(frames, device=x.device), self.config.width)
        y = self.embed(torch.cat([x, given.to(x.dtype)], dim=-1)) + position
        k = self.config.alignment
        mask = None if k is None else alignment_mask(frames, k, x.device)
        for block in self.blocks:
            y = block(y, condition, mask)
        return self.out(self.norm(y))

    def guided(
        self, x: Tensor, timestep: Tensor, speech: Tensor, given: Tensor | None, guidance_scale: float
    ) -> Tensor:
        """Classifier-free guidance on speech: x_0 without it, plus `guidance_scale` times what it changes."""
        if guidance_scale == 1.0:
            return self(x, timestep, speech, given)
        batch = len(x)
        drop = torch.arange(2 * batch, device=x.device) >= batch
        pair = None if given is None else torch.cat([given, given])
        both = self(torch.cat([x, x]), torch.cat([timestep, timestep]), torch.cat([speech, speech]), pair, drop)
        heard, unheard = both.chunk(2)
        return unheard + guidance_scale * (heard - unheard)
