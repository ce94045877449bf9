"""The discriminator of the repair networks: patches of a crop, real frame or repair?

Absolute errors teach the mean of all mouths that fit a mesh, a soft grey band; a discriminator teaches one of them. It
also sees the photo and the maps: a repair should be as sharp as its photo, and open as its mesh is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from stage2_render.repair.network import RepairNetwork
from stage2_render.repair.parts import MAP_FACTOR, MAPS

_SLOPE = 0.2


class Discriminator(nn.Module):
    """Convolutions over cells of 2 x 2 pixels, with spectral normalisation.

    Args:
        channels: of the layers; each but the first halves the resolution.
    """

    def __init__(self, channels: tuple[int, ...] = (48, 96, 128)) -> None:
        super().__init__()
        inputs = 2 * 3 * MAP_FACTOR**2 + MAPS
        sizes = zip((inputs, *channels[:-1]), channels)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(here, below, 3, stride=2 if k else 1, padding=1))
            for k, (here, below) in enumerate(sizes)
        )
        self.output = spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, image: Tensor, reference: Tensor, maps: Tensor) -> list[Tensor]:
        """Judge crops.

        Args:
            image: real or repaired, [B, 3, H, W] in [-1, 1].
            reference: the photo's crop, of that shape.
            maps: [B, M, h, w] in [0, 1].

        Returns:
            The features of each layer, and at last the scores [B, 1, h / 4, w / 4], high for real patches.
        """
        x = torch.cat([F.pixel_unshuffle(one, MAP_FACTOR) for one in (image, reference)] + [maps], 1)
        found = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _SLOPE)
            found.append(x)
        return [*found, self.output(x)]


class Adversaries(nn.Module):
    """A repair network and its discriminator, trained together.

    Args:
        network: the repair network, called as itself.
    """

    network: RepairNetwork

    def __init__(self, network: RepairNetwork) -> None:
        super().__init__()
        self.network, self.discriminator = network, Discriminator()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Call the repair network."""
        return self.network(*inputs)


def adversarial_losses(
    discriminator: Discriminator, image: Tensor, target: Tensor, reference: Tensor, maps: Tensor
) -> dict[str, Tensor]:
    """Compute the hinge losses of both sides, whose gradients do not mix: one step of one optimiser serves both.

    Args:
        discriminator: the network.
        image: repaired crops [B, 3, H, W], with gradients.
        target: real ones.
        reference: the photos' crops.
        maps: [B, M, h, w].

    Returns:
        `discriminator`, of the discriminator alone; `adversarial` and `features` (the absolute difference of the
        features of repaired and real crops, mean over layers), of the repair network alone.
    """
    real = discriminator(target, reference, maps)
    fake = discriminator(image.detach(), reference, maps)
    frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
    judged = functional_call(discriminator, frozen, (image, reference, maps))
    differences = [(one - other.detach()).abs().mean() for one, other in zip(judged[:-1], real[:-1])]
    return {
        "discriminator": F.relu(1 - real[-1]).mean() + F.relu(1 + fake[-1]).mean(),
        "adversarial": -judged[-1].mean(),
        "features": torch.stack(differences).mean(),
    }
