"""Positions of phi_2 that follow the head (not in the paper, which says "positional encoding").

What a cell of the frame shows was, in the reference image, where the head was then. Pose p says where: each attention
head holds one plane of the head in the weak-perspective camera of `shared.face_model.camera`. The plane's point under
a query's cell is projected with the reference's pose, and the attention's scores get a Gaussian of the distance of the
keys from that place, of learned width. Planes are learned: the face's, the hair's and neck's behind it, and, for what
does not move, the image plane. A learned offset from the query's features, which know the expression by phi_1, follows
jaw, lips and lids. Sinusoidal encodings are of places on the head, too, so that the mouth's cells know that they are
the mouth's, wherever it is. No mesh is known to the network, and no image is warped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from stage2_render.diffusion.unet import UNetConfig

# Widths of the Gaussians before training in cells of the latent: at the finest level all this narrow, as content is
# copied there; at each coarser level wider by a factor, and by another from head to head.
_NARROWEST, _WIDER, _SPREAD = 0.6, 1.5, 3.0
# Depth of the planes before training in units of 100 mm: of the lips and of the ears.
_FRONT, _BACK = 0.2, -0.6
# A plane seen edge on has no inverse: least determinant of its projection relative to the squared scale.
_LEAST = 0.15
# Offsets are at most this many cells.
_MAX_OFFSET = 6.0


class HeadPositions(nn.Module):
    """The positional part of one cross-attention's scores, as channels appended to queries and keys.

    Args:
        channels: of the query's features.
        heads: of the attention.
        config: of the network.
        level: of the network, 0 the finest.
    """

    def __init__(self, channels: int, heads: int, config: UNetConfig, level: int) -> None:
        super().__init__()
        self.follows = config.positions == "pose"
        self.cell = 2 * config.view[2] / config.size
        narrow = math.log(_NARROWEST * self.cell) + level * math.log(_WIDER)
        self.log_width = nn.Parameter(narrow + level * math.log(_SPREAD) * torch.linspace(0, 1, heads))
        if self.follows:
            # z = depth + slope . (x, y); the last head holds the image plane: what does not move.
            self.depth = nn.Parameter(torch.linspace(_FRONT, _BACK, heads))
            self.slope = nn.Parameter(torch.zeros(heads, 2))
            self.share = nn.Parameter((torch.arange(heads) < max(heads - 1, 1)).float())
            self.norm, self.offset = nn.LayerNorm(channels), nn.Linear(channels, 2 * heads)
            nn.init.zeros_(self.offset.weight)
            nn.init.zeros_(self.offset.bias)

    def forward(
        self, tokens: Tensor, queries: Tensor, keys: Tensor, pose: Tensor, reference_pose: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return channels whose product is -|c - k|^2 / (2 w^2), for a centre c and a width w of each head.

        Args:
            tokens: the query's features [B, N, C].
            queries: places of the queries [N, 2] in the head crop.
            keys: places of the keys [M, 2].
            pose: rotation and translation of the frames [B, 6].
            reference_pose: those of their references.

        Returns:
            Of the queries float32 [B, heads, N, 4], and of the keys [M, 4].
        """
        with torch.autocast(tokens.device.type, enabled=False):
            if self.follows:
                assert reference_pose is not None
                centres = self.centres(tokens, queries, pose, reference_pose)
            else:
                centres = queries.expand(len(tokens), len(self.log_width), -1, -1)
            precision = torch.exp(-2 * self.log_width)[:, None, None]  # [heads, 1, 1]
            lengths = centres.square().sum(-1, keepdim=True)
            # -|c - k|^2 / 2 = c . k - |k|^2 / 2 - |c|^2 / 2.
            of_queries = precision * torch.cat([centres, torch.full_like(lengths, -0.5), -lengths / 2], -1)
            return of_queries, torch.cat([keys, keys.square().sum(-1, keepdim=True), torch.ones_like(keys[:, :1])], -1)

    def centres(self, tokens: Tensor, queries: Tensor, pose: Tensor, reference_pose: Tensor) -> Tensor:
        """Return where the reference shows what each head has at the queries, [B, heads, N, 2]; see `forward`."""
        with torch.autocast(tokens.device.type, enabled=False):
            centres = self._on_planes(queries, pose.float(), reference_pose.float())
            offset = torch.tanh(self.offset(self.norm(tokens.float())) / _MAX_OFFSET) * (_MAX_OFFSET * self.cell)
            return centres + offset.unflatten(-1, (-1, 2)).transpose(1, 2)

    def _on_planes(self, queries: Tensor, pose: Tensor, reference_pose: Tensor) -> Tensor:
        """Where the reference shows each head's plane under the queries: [B, heads, N, 2]."""
        linear, origin = self._projection(pose)
        before, origin_before = self._projection(reference_pose)
        points = _inverse(linear)[:, :, None] @ (queries - origin[:, :, None])[..., None]  # [B, heads, N, 2, 1]
        centres = (before[:, :, None] @ points)[..., 0] + origin_before[:, :, None]
        return queries + self.share[:, None, None] * (centres - queries)

    def _projection(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """The camera on each head's plane: (x, y) -> linear (x, y) + origin, [B, heads, 2, 2] and [B, heads, 2]."""
        rotation = rotation_matrices(pose[:, :3])  # [B, 3, 3]
        down = torch.tensor([1.0, -1.0], device=pose.device)
        turned = pose[:, 5].exp()[:, None, None] * down[:, None] * rotation[:, :2]  # [B, 2, 3]
        linear = turned[:, None, :, :2] + turned[:, None, :, 2:] * self.slope[:, None]  # [B, heads, 2, 2]
        return linear, pose[:, None, 3:5] + turned[:, None, :, 2] * self.depth[:, None]


def places_on_head(places: Tensor, pose: Tensor) -> Tensor:
    """Return what of the head is seen at places: float32 x, y [B, N, 2] in its own frame, in units of 100 mm, at z = 0.

    Args:
        places: in the head crop [N, 2].
        pose: rotation and translation [B, 6].
    """
    with torch.autocast(places.device.type, enabled=False):
        pose = pose.float()
        down = torch.tensor([1.0, -1.0], device=pose.device)
        linear = pose[:, 5].exp()[:, None, None] * down[:, None] * rotation_matrices(pose[:, :3])[:, :2, :2]
        return (_inverse(linear)[:, None] @ (places - pose[:, None, 3:5])[..., None])[..., 0]


def rotation_matrices(rotation: Tensor) -> Tensor:
    """Convert axis-angle [B, 3] in radians to rotation matrices [B, 3, 3]."""
    x, y, z = rotation.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3))


def cell_centres(size: tuple[int, int], view: tuple[float, float, float], device: torch.device) -> Tensor:
    """Centres x, y in the head crop of the cells of a grid that covers a view, row by row: [rows * columns, 2]."""
    rows, columns = (2 * (torch.arange(n, device=device) + 0.5) / n - 1 for n in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([view[0] + view[2] * x, view[1] + view[2] * y], -1).flatten(0, 1)


def _inverse(matrix: Tensor) -> Tensor:
    """The inverses of [..., 2, 2], the determinant no nearer to 0 than a share of the squared size."""
    (a, b), (c, d) = ((row[..., 0], row[..., 1]) for row in (matrix[..., 0, :], matrix[..., 1, :]))
    determinant = a * d - b * c
    least = _LEAST * matrix.square().sum((-2, -1)) / 2
    # The image's y axis points down: of an upright face the determinant is negative.
    determinant = torch.minimum(determinant, -least)
    adjugate = torch.stack([d, -b, -c, a], -1).unflatten(-1, (2, 2))
    return adjugate / determinant[..., None, None]
