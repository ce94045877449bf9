"""FD2Talk's Expression Transformer and Pose Transformer (§3.2): diffusion transformers from speech to motion.

One architecture, two networks. A noisy coefficient sequence x_t [F, D] is denoised to x_0 in one prediction (eq. 3):

    c      = [embedding of t, speech features]      concatenated for every frame
    tau(c) = linear layer                           [F, width]
    block  = self-attention over the frames of x
             cross-attention, Q from x, K and V from tau(c), frame i sees frame j only if |i - j| <= k  (eq. 4, k = 3)
             MLP

Speech of any length is generated in windows. The last frames of one window are the clean context of the next, marked by
an extra input channel, as in DiffPoseTalk; the network is trained to continue them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import InputError


@dataclass
class MotionTransformerConfig:
    """Sizes of one network.

    Args:
        coefficients: D per frame.
        speech_features: S per frame.
        width: of the hidden layers.
        layers: blocks.
        heads: of each attention.
        dropout: in each block.
        alignment: k of eq. 4; None for no mask (an ablation: every frame attends to all of the window's speech).
        window: F, frames of a training sequence.
        context: how many of its first frames may be clean context.
        train_timesteps: of the diffusion schedule.
    """

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

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "window", "train_timesteps"):
            if getattr(self, name) < 1:
                raise InputError(f"network: `{name}` must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads or self.width % 2:
            raise InputError(f"network: `width` {self.width} must be even and divisible by `heads` {self.heads}")
        if self.lookahead < 0 or self.context < 0 or self.context + self.lookahead >= self.window:
            raise InputError(
                f"network: `context` {self.context} and `alignment` {self.alignment} leave nothing to generate in a "
                f"`window` of {self.window} frames"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"network: `dropout` must be from 0 to below 1, not {self.dropout:g}")

    def to_dict(self) -> dict:
        """For the header of the weights file."""
        return asdict(self)

    @property
    def lookahead(self) -> int:
        """Number of last frames of a window without the speech after them: k, or 3 without a mask."""
        return 3 if self.alignment is None else self.alignment

    def window_after(self, context: int) -> int:
        """F, however many of its first frames are known."""
        return self.window


def alignment_mask(frames: int, k: int, device: torch.device | None = None) -> Tensor:
    """Eq. 4: bool [F, F], True where motion frame i may attend to speech frame j."""
    index = torch.arange(frames, device=device)
    return (index[:, None] - index[None, :]).abs() <= k  # [F, 1] - [1, F] -> [F, F]


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """[...] -> [..., width]: sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017)."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(width // 2, device=positions.device) / (width // 2))
    angles = positions.float()[..., None] * frequencies  # [..., width / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)  # [..., width]


class Attention(nn.Module):
    """Multi-head attention; queries from x, keys and values from `source`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from x [B, F, width] to source [B, G, width] where mask, bool [F, G], is True -> [B, F, width]."""
        batch, frames, width = x.shape

        def split(y: Tensor) -> Tensor:  # [B, F, width] -> [B, heads, F, width / heads]
            return y.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)

        key, value = self.key_value(source).chunk(2, dim=-1)  # [B, G, width] each
        y = F.scaled_dot_product_attention(split(self.query(x)), split(key), split(value), attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(batch, frames, width))  # [B, heads, F, ...] -> [B, F, width]


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
        """Map x [B, F, width] under tau(c) [B, F, width] and the mask of eq. 4 (or None) -> [B, F, width]."""
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
        self.embed = nn.Linear(config.coefficients + 1, width)  # + 1: which frames are context
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.tau = nn.Linear(width + config.speech_features, width)
        self.no_speech = nn.Parameter(torch.zeros(config.speech_features))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.coefficients)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        speech: Tensor,
        context_mask: Tensor | None = None,
        cond_drop_mask: Tensor | None = None,
    ) -> Tensor:
        """Predict x_0 (eq. 3).

        Args:
            x: x_t [B, F, D].
            timestep: [B].
            speech: [B, F, S].
            context_mask: bool [B, F, 1], frames of x that are clean context.
            cond_drop_mask: bool [B], sequences whose speech is replaced by the learned null embedding, for
                classifier-free guidance.

        Returns:
            x_0 [B, F, D].
        """
        batch, frames, _ = x.shape
        width, k = self.config.width, self.config.alignment
        if context_mask is None:
            context_mask = torch.zeros(batch, frames, 1, dtype=torch.bool, device=x.device)
        if cond_drop_mask is not None:
            speech = torch.where(cond_drop_mask[:, None, None], self.no_speech.to(speech.dtype), speech)
        time = self.time(sinusoid(timestep, width))  # [B, width]
        c = torch.cat([time[:, None].expand(-1, frames, -1), speech], dim=-1)  # [B, F, width + S]
        condition = self.tau(c)  # [B, F, width]
        position = sinusoid(torch.arange(frames, device=x.device), width)  # [F, width]
        y = self.embed(torch.cat([x, context_mask.to(x.dtype)], dim=-1)) + position  # [B, F, D + 1] -> [B, F, width]
        mask = None if k is None else alignment_mask(frames, k, x.device)  # [F, F], eq. 4
        for block in self.blocks:
            y = block(y, condition, mask)
        return self.out(self.norm(y))  # [B, F, D]

    def guided(
        self, x: Tensor, timestep: Tensor, speech: Tensor, context_mask: Tensor | None, guidance_scale: float
    ) -> Tensor:
        """Classifier-free guidance on speech: x_0 without speech, plus `guidance_scale` times what speech changes."""
        if guidance_scale == 1.0:
            return self(x, timestep, speech, context_mask)
        batch = len(x)
        drop = torch.arange(2 * batch, device=x.device) >= batch  # [2 B]
        mask = None if context_mask is None else torch.cat([context_mask, context_mask])
        both = self(torch.cat([x, x]), torch.cat([timestep, timestep]), torch.cat([speech, speech]), mask, drop)
        conditional, unconditional = both.chunk(2)  # [2 B, F, D] -> [B, F, D] each
        return unconditional + guidance_scale * (conditional - unconditional)
