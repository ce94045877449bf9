"""3DFacePolicy's network (§3.2): observation encoders and a conditional 1D UNet over the action horizon.

    o_x       = max over time of a 1D convolution over a linear layer of the last N_obs frames of vertices    [size]
    o_s       = speech features of the frames around now                                                      [size]
    condition = [timestep embedding, o_x, o_s], one for the whole horizon
    UNet      = 1D convolutions over the H actions; after the first of each pair of them every channel is scaled and
                shifted by what a linear layer makes of the condition (FiLM, Perez et al. 2018)

The UNet is that of Diffusion Policy (Chi et al. 2023), on which the paper builds and of which it gives no sizes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from shared.diffusion.sampling import make_schedule
from shared.errors import InputError

PREDICTIONS = ("sample", "epsilon")
# Smallest sqrt(bar alpha) used to compute x_0 from predicted noise, as the schedule ends in 0.
_LEAST_SIGNAL = 0.1
_GROUPS = 8  # of each group normalisation


@dataclass
class PolicyConfig:
    """Sizes of the network.

    Args:
        channels: A of an action: 3 coordinates of each vertex and, where the head moves, 6 of its pose.
        speech_features: S per frame.
        horizon: H, actions that are predicted.
        observed: N_obs, frames of vertices.
        acted: N_act, actions that are executed before the next prediction.
        past: frames of speech up to now.
        future: frames of speech after now; 0 as printed, so that the speech of the predicted frames is not observed.
        size: of o_x and of o_s, each.
        speech_width: of the embedding of a frame's speech, before frames are concatenated.
        widths: channels of the UNet's levels; each level after the first has half the frames of the one before.
        kernel: of its convolutions, odd.
        step_width: of the timestep embedding.
        dropout: of o_x and o_s in training; the paper has none.
        prediction: what the UNet predicts: "sample", the actions (the implementation paragraph), or "epsilon", their
            noise (eq. 4).
        train_timesteps: K.
    """

    channels: int
    speech_features: int
    horizon: int = 4
    observed: int = 2
    acted: int = 2
    past: int = 2
    future: int = 0
    size: int = 512
    speech_width: int = 64
    widths: tuple[int, ...] = (512, 1024, 2048)
    kernel: int = 5
    step_width: int = 128
    dropout: float = 0.0
    prediction: str = "sample"
    train_timesteps: int = 100

    def __post_init__(self) -> None:
        self.widths = tuple(self.widths)
        for name in ("horizon", "observed", "acted", "past", "size", "speech_width", "kernel", "train_timesteps"):
            if getattr(self, name) < 1:
                raise InputError(f"network: `{name}` must be at least 1, not {getattr(self, name)}")
        if not self.widths or any(width < 1 or width % _GROUPS for width in self.widths):
            raise InputError(f"network: `widths` must be multiples of {_GROUPS}, not {list(self.widths)}")
        if self.horizon % 2 ** (len(self.widths) - 1):
            raise InputError(f"network: `horizon` {self.horizon} cannot be halved {len(self.widths) - 1} times")
        if self.acted > self.horizon:
            raise InputError(f"network: `acted` {self.acted} exceeds `horizon` {self.horizon}")
        if self.future < 0:
            raise InputError(f"network: `future` must be at least 0, not {self.future}")
        if self.kernel % 2 == 0 or self.step_width < 2 or self.step_width % 2:
            raise InputError("network: `kernel` must be odd and `step_width` even")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network: `dropout` must be from 0 to below 1, not {self.dropout:g}")
        if self.prediction not in PREDICTIONS:
            raise InputError(f"network: `prediction` must be one of {', '.join(PREDICTIONS)}, not {self.prediction!r}")

    @property
    def heard(self) -> int:
        """Number of frames of speech in an observation."""
        return self.past + self.future

    def to_dict(self) -> dict:
        """For the header of the weights file."""
        return asdict(self)


class VertexEncoder(nn.Module):
    """Observed positions [B, N_obs, A] -> o_x [B, size]: linear layer, 1D convolution, max-pooling (§3.2.2)."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.linear = nn.Linear(channels, size)
        self.convolution = nn.Conv1d(size, size, 3, padding=1)

    def forward(self, positions: Tensor) -> Tensor:
        """See the class."""
        frames = nn.functional.mish(self.linear(positions))  # [B, N_obs, A] -> [B, N_obs, size]
        return self.convolution(frames.transpose(1, 2)).amax(2)  # [B, size, N_obs] -> [B, size]


class SpeechEncoder(nn.Module):
    """Features of the frames around now [B, F, S] -> o_s [B, size]. The paper specifies the size only."""

    def __init__(self, frames: int, features: int, width: int, size: int):
        super().__init__()
        self.linear = nn.Linear(features, width)
        self.join = nn.Linear(frames * width, size)

    def forward(self, speech: Tensor) -> Tensor:
        """See the class."""
        frames = nn.functional.mish(self.linear(speech))  # [B, F, S] -> [B, F, width]
        return self.join(frames.flatten(1))  # [B, F width] -> [B, size]


class ConvolutionBlock(nn.Sequential):
    """Convolution, group normalisation, Mish: [B, C_in, F] -> [B, C_out, F]."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        super().__init__(convolution, nn.GroupNorm(_GROUPS, outputs), nn.Mish())


class FilmBlock(nn.Module):
    """Two convolutions with a residual; the condition scales and shifts the channels between them."""

    def __init__(self, inputs: int, outputs: int, condition: int, kernel: int):
        super().__init__()
        self.first = ConvolutionBlock(inputs, outputs, kernel)
        self.second = ConvolutionBlock(outputs, outputs, kernel)
        self.film = nn.Linear(condition, 2 * outputs)
        self.residual = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Channels [B, C_in, F] and the activated condition [B, C] -> [B, C_out, F]."""
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)  # [B, 2 C_out, 1] -> [B, C_out, 1] each
        return self.second(scale * self.first(x) + shift) + self.residual(x)  # [B, C_in, F] -> [B, C_out, F]


class Level(nn.ModuleList):
    """Two blocks in a row, as in every level of Diffusion Policy's UNet."""

    def __init__(self, inputs: int, outputs: int, condition: int, kernel: int):
        super().__init__([FilmBlock(size, outputs, condition, kernel) for size in (inputs, outputs)])

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """As of `FilmBlock`."""
        for block in self:
            x = block(x, condition)
        return x


class ConditionalUNet(nn.Module):
    """epsilon_theta of eq. 3: noisy actions [B, A, H] and a condition [B, C] -> [B, A, H]."""

    def __init__(self, channels: int, widths: tuple[int, ...], condition: int, kernel: int):
        super().__init__()
        first, settings = widths[0], (condition, kernel)
        self.enter = nn.Conv1d(channels, first, 1)
        self.down = nn.ModuleList(Level(above, width, *settings) for above, width in zip((first, *widths), widths[:-1]))
        self.shrink = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = Level(widths[-2] if len(widths) > 1 else first, widths[-1], *settings)
        levels = list(zip(widths[:-1], widths[1:]))[::-1]  # (channels of a level, of the one below)
        self.grow = nn.ModuleList(nn.ConvTranspose1d(below, below, 4, stride=2, padding=1) for _, below in levels)
        self.up = nn.ModuleList(Level(below + width, width, *settings) for width, below in levels)
        self.leave = nn.Sequential(ConvolutionBlock(first, first, kernel), nn.Conv1d(first, channels, 1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """See the class."""
        x, skipped = self.enter(x), []  # [B, A, H] -> [B, C_0, H]
        for level, shrink in zip(self.down, self.shrink):
            x = level(x, condition)  # [B, C_(i-1), F] -> [B, C_i, F]
            skipped.append(x)
            x = shrink(x)  # [B, C_i, F] -> [B, C_i, F / 2]
        x = self.middle(x, condition)  # [B, C_(n-1), F] -> [B, C_n, F]
        for level, grow in zip(self.up, self.grow):
            x = torch.cat([grow(x), skipped.pop()], dim=1)  # [B, C_(i+1), F / 2] -> [B, C_(i+1) + C_i, F]
            x = level(x, condition)  # [B, C_(i+1) + C_i, F] -> [B, C_i, F]
        return self.leave(x)  # [B, C_0, H] -> [B, A, H]


def timestep_embedding(timestep: Tensor, width: int) -> Tensor:
    """[B] -> [B, width]: sines and cosines of geometrically spaced frequencies."""
    rates = torch.logspace(0, -4, width // 2, device=timestep.device)  # 1 to 1e-4
    angles = timestep[:, None] * rates  # [B, width / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=1)  # [B, width]


class Policy(nn.Module):
    """Noisy actions, observed positions and speech -> the actions to come (eq. 1)."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        width = config.step_width
        self.vertices = VertexEncoder(config.channels, config.size)
        self.speech = SpeechEncoder(config.heard, config.speech_features, config.speech_width, config.size)
        self.no_speech = nn.Parameter(torch.zeros(config.size))  # o_s without speech: not in the paper
        self.drop = nn.Dropout(config.dropout)
        self.step = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
        self.unet = ConditionalUNet(config.channels, config.widths, width + 2 * config.size, config.kernel)
        self.level: Tensor
        self.register_buffer("level", make_schedule(config.train_timesteps).alphas_cumprod, persistent=False)

    def observe(self, positions: Tensor, speech: Tensor, no_speech: Tensor | None = None) -> Tensor:
        """The global condition o = {o_x, o_s} (§3.2).

        Args:
            positions: of the observed frames, [B, N_obs, A].
            speech: features of the observed frames, [B, F, S].
            no_speech: bool [B], examples without speech, for classifier-free guidance (ours).

        Returns:
            [B, 2 size].
        """
        heard = self.speech(speech)  # [B, F, S] -> [B, size]
        if no_speech is not None:
            heard = torch.where(no_speech[:, None], self.no_speech, heard)
        return self.drop(torch.cat([self.vertices(positions), heard], dim=1))

    def forward(self, noisy: Tensor, condition: Tensor, timestep: Tensor) -> Tensor:
        """Prediction of the UNet (`PolicyConfig.prediction`).

        Args:
            noisy: a_k, [B, H, A].
            condition: of `observe`, [B, 2 size].
            timestep: k, [B].

        Returns:
            a_0 or epsilon, [B, H, A].
        """
        step = self.step(timestep_embedding(timestep, self.config.step_width))  # [B] -> [B, step_width]
        condition = nn.functional.mish(torch.cat([step, condition], dim=1))  # [B, step_width + 2 size]
        return self.unet(noisy.transpose(1, 2), condition).transpose(1, 2)  # [B, A, H] -> [B, H, A]

    def actions(self, noisy: Tensor, condition: Tensor, timestep: Tensor) -> Tensor:
        """a_0 [B, H, A]; of predicted noise (a_k - sqrt(1 - bar alpha) epsilon) / sqrt(bar alpha)."""
        predicted = self(noisy, condition, timestep)
        if self.config.prediction == "sample":
            return predicted
        level = self.level[timestep][:, None, None]  # bar alpha_k, [B, 1, 1]
        return (noisy - (1 - level).sqrt() * predicted) / level.sqrt().clamp(min=_LEAST_SIGNAL)

    def guided(self, noisy: Tensor, conditions: Tensor, timestep: Tensor, scale: float) -> Tensor:
        """Classifier-free guidance on speech (Ho & Salimans 2022): a_0(-) + scale [a_0(speech) - a_0(-)].

        Args:
            noisy: as for `forward`.
            conditions: with speech, [B, 2 size], or, where `scale` is not 1, with speech and without, [2 B, 2 size].
            timestep: as for `forward`.
            scale: 1 is none.

        Returns:
            a_0, [B, H, A].
        """
        if len(conditions) == len(noisy):
            return self.actions(noisy, conditions, timestep)
        heard, unheard = self.actions(noisy.repeat(2, 1, 1), conditions, timestep.repeat(2)).chunk(2)
        return unheard + scale * (heard - unheard)
