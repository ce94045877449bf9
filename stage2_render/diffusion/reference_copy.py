"""A phi_2 that copies latents of the reference (not in the paper): what it finds need not pass through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stage2_render.diffusion.attention import encoded_on_head
from stage2_render.diffusion.head_positions import HeadPositions, cell_centres

if TYPE_CHECKING:
    from stage2_render.diffusion.unet import UNetConfig

STRIDE = 2
"""Pixels between the patches of the reference: a cell that has moved by a part of itself is a patch of its own."""

# Patches along one side of the neighbourhood of a place that are attended to.
_SIDE = 4
# Width before training of the Gaussian of the distance between a place and the patches, in strides.
_WIDTH = 0.6
# Channels of queries and keys.
_KEY = 32


class ReferenceCopy(nn.Module):
    """Attention to the few tokens of the reference that may show a cell, which are its keys and its values.

    For each plane of the head (`HeadPositions`) there is one place in the reference. Its token is the mean of the
    latents of the patches around it, weighted by a Gaussian of their distance. Queries from the frame's features choose
    between the planes' tokens, and none.
    """

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.view, planes = config.view, config.copies
        self.places = HeadPositions(channels, planes, config, 0)
        self.log_width = nn.Parameter(torch.full((planes, 1, 1), _WIDTH).log())
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, _KEY)
        self.key = nn.Linear(config.latent_channels, _KEY)
        self.plane = nn.Parameter(torch.zeros(planes, 1, _KEY))
        self.none = nn.Parameter(torch.zeros(_KEY))
        self.merge = nn.Conv2d(config.latent_channels, channels, 3, padding=1)

    def forward(self, x: Tensor, patches: Tensor, pose: Tensor, reference_pose: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [B, channels, S, S] that know the copy, and the copy float32 [B, C, S, S].

        Args:
            x: features [B, channels, S, S].
            patches: latents of the reference's patches [B, C, R, R], see `Autoencoder.encode_patches`.
            pose: rotation and translation of the frames [B, 6].
            reference_pose: those of their references [B, 6].
        """
        size = (x.shape[-2], x.shape[-1])
        features, cells = x.flatten(2).transpose(1, 2), cell_centres(size, self.view, x.device)
        features = features + encoded_on_head(cells, pose, x.shape[1]).to(features)  # [B, N, channels]
        centres = self.places.centres(features, cells, pose, reference_pose)
        tokens = self._at(centres, patches.float())  # [B, planes, N, C]
        query = self.query(self.norm(features))  # [B, N, E]
        keys = self.key(tokens) + self.plane  # [B, planes, N, E]
        scores = torch.cat([torch.einsum("bne,bpne->bnp", query, keys), (query @ self.none)[..., None]], -1)
        shares = (scores.float() * _KEY**-0.5).softmax(-1)[..., :-1]  # [B, N, planes]
        copied = torch.einsum("bnp,bpnc->bcn", shares, tokens).unflatten(2, size)  # [B, C, S, S]
        return x + self.merge(copied), copied

    def _at(self, centres: Tensor, patches: Tensor) -> Tensor:
        """The tokens float32 [B, planes, N, C] at places [B, planes, N, 2] of the head crop."""
        count, channels, rows, columns = patches.shape
        middle = torch.tensor(self.view[:2], device=centres.device)
        at = ((centres - middle) / self.view[2] + 1) / 2 * (columns - 1)  # in strides
        first = at.detach().floor().long() - (_SIDE // 2 - 1)
        steps = torch.arange(_SIDE, device=at.device)
        places = (first[..., None] + steps).clamp(0, columns - 1)  # [B, planes, N, (x, y), side]
        nearness = -0.5 * ((at[..., None] - places) / self.log_width.exp()[..., None]).square()
        weights = nearness.softmax(-1)  # the Gaussian of the distance is the product of those along x and y
        x, y = places.unbind(-2)
        of_batch = torch.arange(count, device=at.device).view(-1, 1, 1, 1, 1) * (rows * columns)
        index = of_batch + y[..., :, None] * columns + x[..., None, :]  # [B, planes, N, side, side]
        table = patches.permute(0, 2, 3, 1).reshape(-1, channels)
        found = table.index_select(0, index.flatten()).view(*index.shape, channels)
        across, down = weights.unbind(-2)
        return torch.einsum("bpnyxc,bpny,bpnx->bpnc", found, down, across)
