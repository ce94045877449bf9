"""The speaking style encoder (DiffPoseTalk §3.3.1): motion of a clip -> style vector s (eq. 8), learned by eq. 9."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style.style import Style

_KIND = "style encoder"


@dataclass
class StyleEncoderConfig:
    """Sizes of the encoder.

    Args:
        coefficients: D per frame, expression and head pose.
        size: K of s, the width of its layers.
        layers: of the transformer.
        heads: of its attention.
        dropout: in each layer.
        frames: T, the longest sequence that it takes.
        shortest: frames of the shortest one that it was trained with.
        smoothing: frames of the moving mean, an odd number, that is taken of the motion twice; 1: none. Ours: what
            trembles faster than lips is the tracker, which tells people apart better than how they speak.
    """

    coefficients: int
    size: int = 128
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    frames: int = 40
    shortest: int = 24
    smoothing: int = 1

    def __post_init__(self) -> None:
        if min(self.size, self.layers, self.heads, self.shortest) < 1 or self.size % self.heads or self.size % 2:
            raise InputError(f"network: `size` {self.size} must be even and divisible by `heads` {self.heads}")
        if self.shortest > self.frames:
            raise InputError(f"network: `shortest` {self.shortest} is more than `frames` {self.frames}")
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise InputError(f"network: `smoothing` must be an odd number of frames, not {self.smoothing}")


class StyleEncoder(nn.Module):
    """s = SE(X_0:T), of unit length: eq. 9 sees nothing but its direction.

    A sequence is taken relative to its own mean, but for how far the mouth is open on average. Otherwise two halves of
    a clip would be recognised by their means, which are opposite where the clip was centred.

    Args:
        config: sizes.
        gap: [D], coefficients of a frame -> lip gap.
        opening: [D], what opens the lips by one unit of `gap`.
    """

    gap: Tensor
    opening: Tensor
    place: Tensor

    def __init__(self, config: StyleEncoderConfig, gap: Tensor, opening: Tensor):
        super().__init__()
        self.config = config
        self.register_buffer("gap", gap)
        self.register_buffer("opening", opening)
        position = torch.arange(config.frames)[:, None] / 10000 ** (torch.arange(0, config.size, 2) / config.size)
        self.register_buffer("place", torch.cat([position.sin(), position.cos()], dim=1), persistent=False)  # [T, K]
        self.motion_in = nn.Linear(config.coefficients, config.size)
        layer = nn.TransformerEncoderLayer(
            config.size, config.heads, 4 * config.size, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(config.size), enable_nested_tensor=False
        )

    def forward(self, motion: Tensor, valid: Tensor | None = None) -> Tensor:
        """Eq. 8: motion [B, F, D] with F <= T, of frames where valid, bool [B, F], holds -> s [B, K]."""
        if valid is None:
            valid = torch.ones(motion.shape[:2], dtype=torch.bool, device=motion.device)
        if self.config.smoothing > 1:
            motion = smoothed(smoothed(motion, valid, self.config.smoothing), valid, self.config.smoothing)
        count = valid.sum(1, keepdim=True)  # [B, 1]
        mean = (motion * valid[..., None]).sum(1) / count  # [B, D]
        level = (mean @ self.gap)[:, None] * self.opening  # [B, D]
        tokens = self.motion_in(motion - mean[:, None] + level[:, None]) + self.place[: motion.shape[1]]  # [B, F, K]
        hidden = self.encoder(tokens, src_key_padding_mask=~valid)  # [B, F, K]
        pooled = (hidden * valid[..., None]).sum(1) / count  # average pooling, [B, K]
        return F.normalize(pooled, dim=-1)

    @torch.no_grad()
    def encode(self, motion: np.ndarray) -> np.ndarray:
        """The style of motion [F, D] of any length from `shortest` frames: float32 [K], the mean over windows of T.

        Raises:
            InputError: the motion is too short.
        """
        size, count = self.config.frames, len(motion)
        if count < self.config.shortest:
            raise InputError(
                f"{count} frames are too few to tell a speaking style; at least {self.config.shortest} are needed"
            )
        starts = np.unique(np.linspace(0, max(count - size, 0), max(1, round(2 * count / size) - 1)).astype(int))
        windows = np.stack([motion[start : start + size] for start in starts])  # [W, T, D]
        found = self(torch.from_numpy(windows).to(self.gap))  # [W, K]
        return F.normalize(found.float().mean(0), dim=-1).cpu().numpy()

    def save(self, path: Path, *, space: MotionSpace) -> None:
        """Write weights, sizes and the motion space that the encoder works in."""
        save_checkpoint(
            path,
            _KIND,
            self.state_dict(),
            config=asdict(self.config),
            face_model=space.model.fingerprint,
            expression_std=[float(v) for v in space.expression_std],
            pose_std=[float(v) for v in space.pose_std],
        )


@dataclass
class StyleReader:
    """A frozen encoder and the motion space that it works in: Motion of a face model -> style vector.

    Args:
        encoder: see `StyleEncoder`.
        space: see `MotionSpace`.
        path: of its file.
    """

    encoder: StyleEncoder
    space: MotionSpace
    path: Path

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the encoder's file; styles of another one mean something else."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    @classmethod
    def load(cls, path: str | Path, model: MorphableModel, device: str | torch.device = "cpu") -> StyleReader:
        """Read what `StyleEncoder.save` wrote; frozen.

        Args:
            path: of the file.
            model: the face model.
            device: where the encoder runs.

        Raises:
            InputError: no such file, or of another face model.
        """
        tensors, header = load_checkpoint(path, _KIND)
        with described_as(path, _KIND):
            encoder = StyleEncoder(StyleEncoderConfig(**header["config"]), tensors["gap"], tensors["opening"])
            encoder.load_state_dict(tensors)
            std = (np.array(header[f"{part}_std"], np.float32) for part in ("expression", "pose"))
            reader = cls(encoder.to(device).eval().requires_grad_(False), MotionSpace(model, *std), Path(path))
        if header["face_model"] != model.fingerprint:
            raise InputError(f"{path}: the style encoder belongs to face model {header['face_model']}")
        return reader

    def __call__(self, motion: Motion) -> np.ndarray:
        """The style vector of a motion, float32 [K], at any frame rate; of the frames that show a face.

        Raises:
            InputError: the motion is too short, or of another face model.
        """
        if motion.face_model != self.space.model.fingerprint:
            raise InputError(
                f"the motion belongs to face model {motion.face_model}, not {self.space.model.fingerprint}"
            )
        motion = motion.seen()  # where no face was found it rests, as nobody does
        if not len(motion):
            raise InputError("no frame of the motion shows a face")
        return self.encoder.encode(self.space.encode_unscaled(motion.resample(25.0)))

    def check(self, style: Style) -> None:
        """Raise UsageError if a style is of another encoder, or of another size than this one's."""
        if style.encoder != self.fingerprint:
            raise UsageError("the style was made by another style encoder; make it again from its clip")
        if style.vector.shape != (self.encoder.config.size,):
            size, shape = self.encoder.config.size, list(style.vector.shape)
            raise UsageError(f"the style has shape {shape}, those of this encoder [{size}]; make it again")


def smoothed(motion: Tensor, valid: Tensor, window: int) -> Tensor:
    """Moving means of `window` frames, an odd number, of [B, F, D] over the frames where valid, bool [B, F], holds."""
    there = valid[:, None].float()  # [B, 1, F]
    values = motion.transpose(1, 2) * there  # [B, D, F]
    total, weight = (F.avg_pool1d(v, window, stride=1, padding=window // 2) for v in (values, there))
    return (total / weight.clamp(min=1e-3) * there).transpose(1, 2)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Eq. 9, NT-Xent, over all positive pairs (i, j) and (j, i).

    Args:
        first: [N, K] of unit length; row n of both is a positive pair.
        second: [N, K], likewise.
        temperature: tau.

    Returns:
        The loss, and the share of sequences whose nearest other one is their partner.
    """
    both = torch.cat([first, second])  # [2 N, K]
    count = len(first)
    logits = both @ both.T / temperature  # cosine similarities, [2 N, 2 N]
    itself = torch.eye(2 * count, dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(itself, float("-inf"))  # the indicator k != i
    partner = torch.arange(2 * count, device=logits.device).roll(count)
    return F.cross_entropy(logits, partner), (logits.argmax(1) == partner).float().mean()
