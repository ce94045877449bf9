"""An adversary for mouths: L1 alone paints the average of all teeth that would fit, which is a grey band."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Judges patches of a picture, given the warp it was made from (Isola et al. 2017), spectrally normalised.

    Trained inside the generator's own loss, so that one optimizer and one checkpoint hold both.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        sizes = (channels, 2 * channels, 4 * channels, 4 * channels)
        given = (6, *sizes[:-1])
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in zip(given, sizes, strict=True)
        )
        self.leave = spectral_norm(nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, pictures: Tensor, warped: Tensor) -> list[Tensor]:
        """Pictures and warps [B, 3, H, W] in [-1, 1] -> the layers' features, then scores [B, 1, H / 16, W / 16]."""
        x, found = torch.cat([pictures, warped], 1), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.leave(x)]


def take_mouths(pictures: Tensor, boxes: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] -> [B, 3, 64, 96]: what lies in the boxes [B, 4] (x0, y0, x1, y1 in pixels).

    The skin around would tell a warp from a real frame at once, and that is not what is to be judged.
    """
    height, width = pictures.shape[-2:]
    low, high = boxes[:, :2], boxes[:, 2:]
    low, high = low + 0.1 * (high - low), high - 0.1 * (high - low)
    size = torch.tensor([width, height], device=boxes.device)
    scale, shift = (high - low) / size, (high + low + 1) / size - 1
    zero = torch.zeros_like(scale[:, 0])
    rows = [torch.stack([scale[:, 0], zero, shift[:, 0]], -1), torch.stack([zero, scale[:, 1], shift[:, 1]], -1)]
    grid = F.affine_grid(torch.stack(rows, 1).float(), [len(pictures), 3, 64, 96], align_corners=False)
    return F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def adversarial_losses(judge: Discriminator, made: Tensor, real: Tensor, warped: Tensor) -> tuple[Tensor, Tensor]:
    """(what the painter minimises: adversarial plus feature matching, what the judge minimises: hinge loss).

    The first leaves the judge's weights alone, the second the painter's.
    """
    scores_real, scores_made = judge(real, warped)[-1].float(), judge(made.detach(), warped)[-1].float()
    judged = F.relu(1 - scores_real).mean() + F.relu(1 + scores_made).mean()
    frozen = {name: value.detach() for name, value in (*judge.named_parameters(), *judge.named_buffers())}
    of_made = functional_call(judge, frozen, (made, warped))
    with torch.no_grad():
        of_real = judge(real, warped)
    matched = sum((a.float() - b.float()).abs().mean() for a, b in zip(of_made[:-1], of_real[:-1], strict=True))
    return 2 * matched - of_made[-1].float().mean(), judged
