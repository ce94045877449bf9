"""How well the renderer's autoencoder keeps pictures of people that it never saw, the warp's help withheld.

    python scripts/evaluate_autoencoder.py                       # the bundled one
    python scripts/evaluate_autoencoder.py runs/autoencoder/best runs/unet/best \\
        --taef2 ../shared/models/taef2_encoder.pth ../shared/models/taef2_decoder.pth

Encoded and decoded at 256 x 256: frames of face crops, with the clip's reference frame as the decoder's reference, and
whole heads, each its own reference. PSNR and SSIM over the whole picture, `distance` is `shared.metrics.perceptual`
(not LPIPS). TAEF2, a tiny published autoencoder of factor 8 and 32 channels, is the yardstick; it takes no reference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from shared.metrics.image import psnr, ssim
from shared.metrics.perceptual import SqueezeDistance, picture_distance
from shared.weights import bundled
from stage2_render.diffusion.render_model import load_autoencoder
from stage2_render.training.batch_sampler import to_pictures, to_tensor
from stage2_render.training.pair_dataset import Pairs

BATCH_SIZE = 8

Coder = Callable[[Tensor, Tensor], Tensor]
"""Reference and picture [B, 3, S, S] in [-1, 1] -> the picture encoded and decoded."""


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pairs", default=".cache/pairs", show_default=True, help="the renderer's training set")
@click.option("--models", default="../shared/models", show_default=True, help="folder of the judges")
@click.option("--taef2", nargs=2, type=click.Path(exists=True, dir_okay=False), help="encoder and decoder (.pth)")
@click.option("--split", default="val", show_default=True)
@click.option("--count", default=200, show_default=True, help="pictures of each kind")
def main(folders, pairs, models, taef2, split, count) -> None:
    torch.set_num_threads(1)
    network = SqueezeDistance(Path(models) / "squeezenet1_1_caffe.safetensors")
    known = Pairs(Path(pairs) / split)
    named = {str(folder): folder for folder in folders} or {"bundled": bundled("renderer")}
    coders = {name: own_coder(folder) for name, folder in named.items()}
    if taef2:
        coders["TAEF2"] = Taef2(*taef2).code
    rows = np.linspace(0, len(known) - 1, min(count, len(known))).astype(int)
    heads = known.heads[np.linspace(0, len(known.heads) - 1, min(count, len(known.heads))).astype(int)]
    kinds = {
        "face crops": (known.target[rows], known.reference_images[known.reference[rows]]),
        "heads": (heads, heads),
    }
    print("|  | PSNR: mean; worst | SSIM | distance |\n|---|---|---|---|")
    for name, coder in coders.items():
        for kind, (pictures, references) in kinds.items():
            figures = measure(coder, pictures, references, network)
            values, worst = np.mean(figures, 0), np.min(figures, 0)[0]
            figure = f"{values[0]:.2f}; {worst:.2f} | {values[1]:.3f} | {values[2]:.3f}"
            print(f"| {name}, {len(pictures)} {kind} | {figure} |")


def own_coder(folder: Path) -> Coder:
    """Our own autoencoder, the decoder left alone with the latents."""
    autoencoder = load_autoencoder(folder / "autoencoder.safetensors").eval()
    return lambda reference, picture: autoencoder.decode(autoencoder.encode(reference), autoencoder.encode(picture))[0]


@torch.inference_mode()
def measure(coder: Coder, pictures: np.ndarray, references: np.ndarray, network: SqueezeDistance) -> np.ndarray:
    """uint8 [N, S, S, 3] twice -> PSNR, SSIM and distance of each picture, float64 [N, 3]."""
    figures = []
    for start in range(0, len(pictures), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        made = to_pictures(coder(to_tensor(references[part]), to_tensor(pictures[part])))
        figures += [(psnr(m, p), ssim(m, p), picture_distance(network, m, p)) for m, p in zip(made, pictures[part])]
    return np.array(figures)


class Taef2:
    """TAESD's architecture as the two files' tensors describe it: 64 channels, blocks of three convolutions, of which
    those at an eighth of the size also look at 256 normalised channels; ReLU throughout. Pictures in [0, 1].

    Raises RuntimeError: tensors of something else.
    """

    def __init__(self, encoder: str, decoder: str) -> None:
        self._encoder, self._decoder = (_built(path) for path in (encoder, decoder))

    def code(self, _: Tensor, picture: Tensor) -> Tensor:
        latents = self._encoder((picture + 1) / 2)
        return self._decoder(3 * torch.tanh(latents / 3)) * 2 - 1


def _built(path: str) -> nn.Sequential:
    """Layers 0 to the last number in the file; what has no tensors there is the decoder's."""
    tensors = {name: value.float() for name, value in torch.load(path, map_location="cpu", weights_only=True).items()}
    last = max(int(name.split(".")[0]) for name in tensors)
    layers: list[nn.Module] = []
    for index in range(last + 1):
        weight = tensors.get(f"{index}.weight")
        if f"{index}.conv.0.weight" in tensors:
            layers.append(_Block(f"{index}.pool.0.weight" in tensors))
        elif weight is None:  # the clamp of `code`, a ReLU after the first convolution, and doublings of the size
            layers.append(
                (nn.Identity(), nn.Identity(), nn.ReLU())[index] if index < 3 else nn.Upsample(scale_factor=2)
            )
        else:
            has_bias = f"{index}.bias" in tensors
            # In the encoder, convolutions without bias halve the size; in the decoder they follow a doubling.
            stride = 2 if not has_bias and not isinstance(layers[-1], nn.Upsample) else 1
            layers.append(nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride, 1, bias=has_bias))
    network = nn.Sequential(*layers)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


class _Block(nn.Module):
    def __init__(self, wide: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
        )
        self.pool = None
        if wide:
            expand, shrink = nn.Conv2d(64, 256, 1, bias=False), nn.Conv2d(256, 64, 1, bias=False)
            self.pool = nn.Sequential(expand, nn.GroupNorm(4, 256), nn.ReLU(), shrink)

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


if __name__ == "__main__":
    main()
