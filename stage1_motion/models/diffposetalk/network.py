"""DiffPoseTalk's denoising network D (§3.2.1, eq. 1 and 7): a transformer decoder over one window of motion.

    tokens  = [condition token (n, s, beta) | T_p clean frames X_-Tp:0 | T_w noisy frames X^n_0:Tw]    [1 + T_p + T_w]
    memory  = speech features A_-Tp:Tw                                                                 [T_p + T_w]
    layer   = self-attention over the tokens
              cross-attention to the memory: motion t sees speech t only, the condition token all      (alignment mask)
              MLP
    output  = x_0 of all frames, -T_p to T_w

The first window has no frames before it: learned start features A_start, X_start stand there.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from shared.diffusion.sampling import make_schedule
from shared.errors import InputError


@dataclass
class DenoiserConfig:
    """Sizes of the network.

    Args:
        coefficients: D per frame, expression (with the jaw, where the face model has one) and head pose.
        speech_features: S per frame.
        identity: size of beta; 0: the network does not know the face's shape.
        style: size of s; 0: no style.
        people: where s is the number of a training person (one-hot), how many there are; else 0.
        width: of the hidden layers.
        layers: decoder layers.
        heads: of each attention.
        dropout: in each layer.
        aligned: the alignment mask; False is the paper's ablation: every frame attends to all of the window's speech.
        frames: T_w.
        context: T_p.
        lookahead: last frames of a window that are generated again with the next, unless it is the recording's last.
        train_timesteps: N.
        skip: of the last so many coefficients (6: the head's) the layers predict what the noisy frames' best linear
            estimate lacks, instead of x_0 itself (Karras et al. 2022): ours. What the speech does not tell is in the
            frames already when little noise is left, and is not averaged away.
    """

    coefficients: int
    speech_features: int
    identity: int = 0
    style: int = 128
    people: int = 0
    width: int = 160
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    aligned: bool = True
    frames: int = 40
    context: int = 8
    lookahead: int = 0
    train_timesteps: int = 500
    skip: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "frames", "context", "train_timesteps"):
            if getattr(self, name) < 1:
                raise InputError(f"network: `{name}` must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads or self.width % 2:
            raise InputError(f"network: `width` {self.width} must be even and divisible by `heads` {self.heads}")
        if not 0 <= self.lookahead < self.frames:
            raise InputError(f"network: `lookahead` {self.lookahead} must be from 0 to below `frames` {self.frames}")
        if not 0 <= self.skip <= self.coefficients:
            raise InputError(f"network: `skip` {self.skip} must be from 0 to the {self.coefficients} coefficients")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network: `dropout` must be from 0 to below 1, not {self.dropout:g}")

    def window_after(self, context: int) -> int:
        """Frames of a window whose first `context` are known: T_w more."""
        return context + self.frames

    def to_dict(self) -> dict:
        """For the header of the weights file."""
        return asdict(self)


def alignment_mask(frames: int, device: torch.device | None = None) -> Tensor:
    """Bool [1 + frames, frames], True where a token may attend to a frame's speech.

    The first row is the condition token, which attends to all; motion t attends to speech t (§3.2.1).
    """
    everything = torch.ones(1, frames, dtype=torch.bool, device=device)
    return torch.cat([everything, torch.eye(frames, dtype=torch.bool, device=device)])


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """[...] -> [..., width]: sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017)."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(width // 2, device=positions.device) / (width // 2))
    angles = positions.float()[..., None] * frequencies  # [..., width / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)  # [..., width]


class Denoiser(nn.Module):
    """D: (X^n, X_-Tp:0, A_-Tp:Tw, s, beta, n) -> x_0 of all frames (eq. 7)."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.start_motion = nn.Parameter(torch.zeros(config.context, config.coefficients))  # X_start
        self.start_speech = nn.Parameter(torch.zeros(config.context, config.speech_features))  # A_start
        self.no_speech = nn.Parameter(torch.zeros(config.speech_features))
        self.no_style = nn.Parameter(torch.zeros(width))
        self.step_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.style_in = nn.Linear(config.style, width) if config.style else None
        self.identity_in = nn.Linear(config.identity, width) if config.identity else None
        self.motion_in = nn.Linear(config.coefficients, width)
        self.speech_in = nn.Linear(config.speech_features, width)
        layer = nn.TransformerDecoderLayer(
            width, config.heads, 4 * width, config.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.layers, nn.LayerNorm(width))
        self.motion_out = nn.Linear(width, config.coefficients)
        self.level: Tensor
        self.register_buffer("level", make_schedule(config.train_timesteps).alphas_cumprod, persistent=False)

    def forward(
        self,
        noisy: Tensor,
        previous: Tensor | None,
        speech: Tensor,
        timestep: Tensor,
        *,
        style: Tensor | None = None,
        identity: Tensor | None = None,
        no_style: Tensor | None = None,
        no_speech: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> Tensor:
        """Predict x_0 of a window and of the frames before it.

        Args:
            noisy: X^n [B, F, D] of F <= T_w frames.
            previous: the last C <= T_p clean frames before them [B, C, D]; where there are fewer than T_p, start
                features stand before them. None: there are none.
            speech: A [B, C + F, S].
            timestep: n, [B].
            style: s [B, K]; None: the empty condition.
            identity: beta [B, D_id].
            no_style: bool [B], sequences whose style is the empty condition.
            no_speech: bool [B], sequences whose speech is.
            frames: int [B], how many of the F frames there are; None: all. The others are attended to by nobody.

        Returns:
            x_0 [B, T_p + F, D].
        """
        config, width, batch, count = self.config, self.config.width, len(noisy), noisy.shape[1]
        if previous is None:
            previous = noisy[:, :0]
        lacking = config.context - previous.shape[1]  # frames for which start features stand
        motion = [self.start_motion[:lacking].expand(batch, -1, -1), previous, noisy]
        start_speech = self.start_speech[:lacking].expand(batch, -1, -1)
        speech = torch.cat([start_speech, speech], dim=1)  # [B, C + F, S] -> [B, T_p + F, S]
        if no_speech is not None:
            speech = torch.where(no_speech[:, None, None], self.no_speech, speech)

        condition = self.step_in(sinusoid(timestep, width))  # [B, width]
        condition = condition + self._style(style, no_style, batch)  # [B, width]
        if self.identity_in is not None:
            assert identity is not None  # the network was trained with beta
            condition = condition + self.identity_in(identity)

        total = config.context + count
        place = sinusoid(torch.arange(1 + total, device=noisy.device), width)  # [1 + T_p + F, width]
        embedded = self.motion_in(torch.cat(motion, dim=1))  # [B, T_p + F, D] -> [B, T_p + F, width]
        tokens = torch.cat([condition[:, None], embedded], dim=1) + place  # [B, 1 + T_p + F, width]
        memory = self.speech_in(speech) + place[1:]  # [B, T_p + F, width]
        hidden = None  # tokens that nobody attends to, [B, 1 + T_p + F]
        mask = torch.zeros(1 + total, total, dtype=torch.bool, device=noisy.device)  # True: the token does not see it
        if config.aligned:
            mask = ~alignment_mask(total, noisy.device)
        if frames is not None:
            absent = torch.arange(total, device=noisy.device) >= config.context + frames[:, None]  # [B, T_p + F]
            hidden = nn.functional.pad(absent, (1, 0))
            of_each = mask | (absent[:, None] & ~hidden[..., None])  # [B, 1 + T_p + F, T_p + F]
            mask = of_each.repeat_interleave(config.heads, dim=0)  # [B heads, 1 + T_p + F, T_p + F]
        decoded = self.decoder(tokens, memory, memory_mask=mask, tgt_key_padding_mask=hidden)
        predicted = self.motion_out(decoded[:, 1:])  # [B, T_p + F, D]
        if not config.skip:
            return predicted
        level = self.level[timestep][:, None, None]  # bar alpha_n, [B, 1, 1]
        fine = predicted[:, config.context :, -config.skip :]  # [B, F, K], K coefficients
        fine = level.sqrt() * noisy[..., -config.skip :] + (1 - level).sqrt() * fine
        known = torch.cat(motion[:2], dim=1)[..., -config.skip :]  # [B, T_p, K]
        return torch.cat([predicted[..., : -config.skip], torch.cat([known, fine], dim=1)], dim=2)

    def _style(self, style: Tensor | None, no_style: Tensor | None, batch: int) -> Tensor:
        """[B, width]: the embedded style, or the empty condition."""
        empty = self.no_style.expand(batch, -1)
        if style is None or self.style_in is None:
            return empty
        embedded = self.style_in(style)  # [B, K] -> [B, width]
        return embedded if no_style is None else torch.where(no_style[:, None], empty, embedded)

    def guided(
        self,
        noisy: Tensor,
        previous: Tensor | None,
        speech: Tensor,
        timestep: Tensor,
        *,
        style: Tensor | None = None,
        identity: Tensor | None = None,
        speech_scale: float = 1.0,
        style_scale: float = 1.0,
    ) -> Tensor:
        """Incremental classifier-free guidance (eq. 10), its conditions in one batch.

            x_0 = D(-, -) + w_a [D(A, -) - D(-, -)] + w_s [D(A, s) - D(A, -)]

        Terms whose factor is 0 are left out: D(-, -) at w_a = 1, D(A, -) where w_s = w_a or there is no style.

        Args:
            noisy: as for `forward`.
            previous: likewise.
            speech: likewise.
            timestep: likewise.
            style: likewise.
            identity: likewise.
            speech_scale: w_a.
            style_scale: w_s.

        Returns:
            x_0 [B, T_p + F, D].
        """
        if style is None or self.style_in is None:
            style, style_scale = None, 0.0
        factors = {  # (no style, no speech): factor
            (True, True): 1.0 - speech_scale,
            (True, False): speech_scale - style_scale,
            (False, False): style_scale,
        }
        kept = [(condition, factor) for condition, factor in factors.items() if factor]
        count, batch = len(kept), len(noisy)

        def repeated(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.repeat(count, *[1] * (values.ndim - 1))

        def flags(index: int) -> Tensor:
            return torch.tensor([c[index] for c, _ in kept], device=noisy.device).repeat_interleave(batch)

        all_noisy, all_speech, all_steps = repeated(noisy), repeated(speech), repeated(timestep)
        assert all_noisy is not None and all_speech is not None and all_steps is not None
        predicted = self(
            all_noisy, repeated(previous), all_speech, all_steps,
            style=repeated(style), identity=repeated(identity), no_style=flags(0), no_speech=flags(1),
        )  # fmt: skip
        parts = predicted.chunk(count)  # [count B, T_p + F, D] -> [B, T_p + F, D] each
        return torch.stack([factor * part for (_, factor), part in zip(kept, parts)]).sum(0)
