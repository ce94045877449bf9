"""3DiFACE's denoiser (§4, figure 2): a fully convolutional network from noisy vertex displacements to clean ones.

    h = W_in x_t + W_t PE(t)                    motion encoder: [N, 3 V] -> [N, 64]
    h = condition(conv(h), A)                   convolution blocks down in time and up again; after each a condition
                                                block: concatenate the audio features A, convolve back to 64
    x_0 = W_out (h + S_i)                       person-specific vector, motion decoder: [N, 64] -> [N, 3 V]

A [N, 64] is a linear layer of the speech encoder's features; 0 is no condition, for which there may be weights of their
own (`Unconditional`). Nothing in the network knows where a
frame stands or how many there are: what it predicts for a frame depends on the frames within `reach` alone.

The paper leaves open: kernel sizes, strides, activations, whether the two halves are joined (here: the activations of
the way down are added on the way up). The head, which VOCASET lacks, moves along as six more coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import InputError


@dataclass
class DenoiserConfig:
    """Sizes of the network.

    Args:
        coordinates: 3 V, and 6 where the head moves.
        speech_features: S, of the speech encoder.
        people: training people, each with a vector S_i.
        width: of the latent space.
        speech_width: of A.
        kernel: frames of each convolution, odd.
        levels: how often the temporal dimension is halved.
        dropout: of whole channels, in training.
        train_timesteps: T of eq. 1.
        backbone: "convolution"; "attention" and "faceformer" are those of Table 2 (see `variants`).
        unconditional_width: of a network of its own for the empty condition; 0: the same network.
    """

    coordinates: int
    speech_features: int
    people: int
    width: int = 64
    speech_width: int = 64
    kernel: int = 5
    levels: int = 2
    dropout: float = 0.0
    train_timesteps: int = 500
    backbone: str = "convolution"
    unconditional_width: int = 0

    def __post_init__(self) -> None:
        for name in ("coordinates", "people", "width", "speech_width", "train_timesteps"):
            if getattr(self, name) < 1:
                raise InputError(f"network: `{name}` must be at least 1, not {getattr(self, name)}")
        if self.kernel % 2 == 0 or self.levels < 0 or self.width % 8:
            raise InputError("network: `kernel` must be odd, `levels` at least 0 and `width` divisible by 8")
        if self.unconditional_width < 0 or self.unconditional_width % 8:
            raise InputError("network: `unconditional_width` must be 0 or a multiple of 8")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network: `dropout` must be at least 0 and below 1, not {self.dropout}")
        if self.backbone not in ("convolution", "attention", "faceformer"):
            raise InputError(f"network: there is no backbone {self.backbone!r}")
        if self.unconditional_width and self.backbone != "convolution":
            raise InputError("network: `unconditional_width` needs the backbone convolution")

    @property
    def stride(self) -> int:
        """Frames that the coarsest level takes for one."""
        return 2**self.levels

    @property
    def reach(self) -> int:
        """Frames before and after a frame that its prediction depends on; those of the convolutions."""
        # At every rate two convolutions and two condition blocks, which are 3 wide; and the changes of rate.
        return 2 * (self.kernel // 2 + 1) * (2 * self.stride - 1) + 2 * self.stride

    def to_dict(self) -> dict[str, int | float | str]:
        """As keyword arguments."""
        return asdict(self)


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """[...] -> [..., width]: the positional encoding of Vaswani et al. 2017."""
    rates = torch.exp(torch.arange(width // 2, device=positions.device) * (-2 * math.log(10000.0) / width))
    return torch.cat([(positions[..., None] * rates).sin(), (positions[..., None] * rates).cos()], dim=-1)


class ConvBlock(nn.Module):
    """A convolution over time, halving the rate with stride 2; [B, C, N] -> [B, C, N / stride]."""

    def __init__(self, width: int, kernel: int, stride: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)  # of a frame alone, so that the length does not matter
        self.conv = nn.Conv1d(width, width, kernel, stride, kernel // 2)
        self.dropout = nn.Dropout1d(dropout)
        self.stride = stride

    def forward(self, h: Tensor) -> Tensor:
        """See the class."""
        new = self.conv(F.gelu(self.norm(h.mT).mT))
        skip = h if self.stride == 1 else F.avg_pool1d(h, 2)
        return skip + self.dropout(new)


class ConditionBlock(nn.Module):
    """Concatenates the audio features and convolves back: [B, C, N], [B, A, N] -> [B, C, N]."""

    def __init__(self, width: int, speech_width: int):
        super().__init__()
        self.conv = nn.Conv1d(width + speech_width, width, 3, padding=1)

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        return h + F.gelu(self.conv(torch.cat([h, speech], dim=1)))


class DeafBlock(ConditionBlock):
    """A condition block without a condition: [B, C, N] -> [B, C, N]."""

    def __init__(self, width: int, speech_width: int):
        super().__init__(width, 0)

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        return h + F.gelu(self.conv(h))


class Level(nn.Module):
    """A convolution block and the condition block after it: [B, C, N], [B, A, N / stride] -> [B, C, N / stride]."""

    def __init__(self, config: DenoiserConfig, stride: int, condition: Callable[[int, int], nn.Module]):
        super().__init__()
        self.conv = ConvBlock(config.width, config.kernel, stride, config.dropout)
        self.condition = condition(config.width, config.speech_width)

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        return self.condition(self.conv(h), speech)


class ConvolutionBackbone(nn.Module):
    """Convolution blocks down and up in time, each followed by a condition block: [B, C, N], [B, A, N] -> [B, C, N]."""

    def __init__(self, config: DenoiserConfig, condition: Callable[[int, int], nn.Module] = ConditionBlock):
        super().__init__()
        self.first = Level(config, 1, condition)
        self.down = nn.ModuleList(Level(config, 2, condition) for _ in range(config.levels))
        self.middle = Level(config, 1, condition)
        self.up = nn.ModuleList(Level(config, 1, condition) for _ in range(config.levels))
        self.stride = config.stride

    def forward(self, h: Tensor, speech: Tensor) -> Tensor:
        """See the class."""
        frames = h.shape[-1]
        lacking = -frames % self.stride
        h, speech = F.pad(h, (0, lacking)), F.pad(speech, (0, lacking))
        h = self.first(h, speech)
        passed = []
        for level in self.down:
            passed.append((h, speech))
            speech = F.avg_pool1d(speech, 2)
            h = level(h, speech)  # [B, C, N / 2], [B, C, N / 4], ...
        h = self.middle(h, speech)
        for level in self.up:
            skip, speech = passed.pop()
            # Repeated instead, steps of the coarse rate would show in the motion.
            h = F.interpolate(h, scale_factor=2.0, mode="linear", align_corners=False)
            h = level(h + skip, speech)  # ..., [B, C, N / 2], [B, C, N]
        return h[..., :frames]


class Unconditional(nn.Module):
    """theta(x_t, t, empty) of eq. 3 with weights of its own: the same architecture without speech.

    Args:
        config: of the denoiser that it stands beside; its `unconditional_width` is the width.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.width = width = config.unconditional_width
        self.motion_encoder = nn.Linear(config.coordinates, width)
        self.time = nn.Linear(width, width)
        self.backbone = ConvolutionBackbone(replace(config, width=width, dropout=0.0), DeafBlock)
        self.person = nn.Linear(config.width, width, bias=False)
        self.motion_decoder = nn.Linear(width, config.coordinates)

    def forward(self, x: Tensor, timestep: Tensor, person: Tensor) -> Tensor:
        """x_t [B, N, 3 V (+ 6)], t [B], S_i [B, C] -> x_0 [B, N, 3 V (+ 6)]."""
        h = self.motion_encoder(x) + self.time(sinusoid(timestep, self.width))[:, None]  # [B, N, C]
        h = self.backbone(h.mT, h.new_zeros(len(h), 1, h.shape[1])).mT
        return self.motion_decoder(h + self.person(person)[:, None])


class Denoiser(nn.Module):
    """theta(x_t, t, C) of eq. 3 and 4."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.motion_encoder = nn.Linear(config.coordinates, width)
        self.time = nn.Linear(width, width)
        self.speech = nn.Linear(config.speech_features, config.speech_width)
        self.backbone = _backbone(config)
        self.person = nn.Embedding(config.people, width)
        self.motion_decoder = nn.Linear(width, config.coordinates)
        nn.init.normal_(self.person.weight, std=0.02)
        self.unconditional = Unconditional(config) if config.unconditional_width else None

    def forward(
        self, x: Tensor, timestep: Tensor, speech: Tensor, person: Tensor, drop_speech: Tensor | None = None
    ) -> Tensor:
        """Predict x_0.

        Args:
            x: x_t, [B, N, 3 V (+ 6)].
            timestep: t, int64 [B].
            speech: [B, N, S].
            person: S_i, [B, C].
            drop_speech: bool [B], where the condition is empty.

        Returns:
            [B, N, 3 V (+ 6)].
        """
        if self.unconditional is not None and drop_speech is not None and drop_speech.any():
            kept, made = ~drop_speech, torch.empty_like(x)
            alone = self.unconditional(x[drop_speech], timestep[drop_speech], person[drop_speech])
            made[drop_speech] = alone.type_as(made)
            if kept.any():
                made[kept] = self(x[kept], timestep[kept], speech[kept], person[kept]).type_as(made)
            return made
        heard = self.speech(speech)  # A, [B, N, A]
        if drop_speech is not None:
            heard = heard * ~drop_speech[:, None, None]
        h = self.motion_encoder(x) + self.time(sinusoid(timestep, self.config.width))[:, None]  # [B, N, C]
        h = self.backbone(h.mT, heard.mT).mT
        return self.motion_decoder(h + person[:, None])

    def guided(self, x: Tensor, timestep: Tensor, speech: Tensor, person: Tensor, scale: float) -> Tensor:
        """Eq. 3: theta(empty) + s [theta(C) - theta(empty)], 1 and 0 need only one of them."""
        batch = len(x)
        if self.unconditional is not None and scale != 1:
            without = self.unconditional(x, timestep, person)
            return without if scale == 0 else without + scale * (self(x, timestep, speech, person) - without)
        if scale in (0, 1):
            return self(x, timestep, speech, person, torch.full((batch,), scale == 0, device=x.device))
        twice = [torch.cat([value, value]) for value in (x, timestep, speech, person)]
        without, with_speech = self(*twice, torch.arange(2 * batch, device=x.device) < batch).chunk(2)
        return without + scale * (with_speech - without)


def _backbone(config: DenoiserConfig) -> nn.Module:
    if config.backbone == "convolution":
        return ConvolutionBackbone(config)
    from stage1_motion.models.diface import variants

    return variants.backbone(config)
