r"""Reconstruction quality of the renderer's autoencoder, without detail transfer, on people it was not trained on.

    python scripts/evaluate_autoencoder.py                       # the bundled one
    python scripts/evaluate_autoencoder.py runs/autoencoder/best runs/unet/best \
        --taef2 ../shared/models/taef2_encoder.pth ../shared/models/taef2_decoder.pth

Encoded and decoded at 256 x 256: frames of face crops, with the clip's reference frame as the decoder's reference, and
whole heads, each its own reference. PSNR and SSIM over the whole picture, `distance` is `shared.metrics.perceptual`
(not LPIPS). TAEF2, a tiny published autoencoder (factor 8, 32 channels), is for comparison; it takes no reference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from markdown_tables import print_head, print_row
from torch import Tensor, nn

from shared.metrics.image import psnr, ssim
from shared.metrics.perceptual import SqueezeDistance, picture_distance
from shared.weights import bundled
from stage2_render.diffusion.render_model import load_autoencoder
from stage2_render.diffusion.tensors import to_pictures, to_tensor
from stage2_render.training.pair_dataset import Pairs

BATCH_SIZE = 8

Coder = Callable[[Tensor, Tensor], Tensor]
"""Reference and picture [B, 3, S, S] in [-1, 1] -> the reconstructed picture."""


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pairs", default=".cache/pairs", show_default=True, help="The renderer's training set.")
@click.option("--models", default="../shared/models", show_default=True, help="Folder of the metric networks.")
@click.option("--taef2", nargs=2, type=click.Path(exists=True, dir_okay=False), help="Encoder and decoder (.pth).")
@click.option("--split", default="val", show_default=True)
@click.option("--count", default=200, show_default=True, help="Pictures of each kind.")
def main(folders, pairs, models, taef2, split, count) -> None:
    torch.set_num_threads(1)
    network = SqueezeDistance(Path(models) / "squeezenet1_1_caffe.safetensors")
    data = Pairs(Path(pairs) / split)
    coders = {str(folder): own_coder(folder) for folder in folders} or {"bundled": own_coder(bundled("renderer"))}
    if taef2:
        coders["TAEF2"] = Taef2(*taef2).code
    rows, heads = (np.linspace(0, len(of) - 1, min(count, len(of))).astype(int) for of in (data, data.heads))
    kinds = {
        "face crops": (data.target[rows], data.reference_images[data.reference[rows]]),
        "heads": (data.heads[heads], data.heads[heads]),
    }
    print_head(["", "PSNR: mean; worst", "SSIM", "distance"])
    for name, coder in coders.items():
        for kind, (pictures, references) in kinds.items():
            values = measure(coder, pictures, references, network)
            psnr_mean, ssim_mean, distance = values.mean(0)
            cells = f"{psnr_mean:.2f}; {values[:, 0].min():.2f}", f"{ssim_mean:.3f}", f"{distance:.3f}"
            print_row([f"{name}, {len(pictures)} {kind}", *cells])


def own_coder(folder: Path) -> Coder:
    """Our own autoencoder, whose decoder receives only latents."""
    autoencoder = load_autoencoder(folder / "autoencoder.safetensors").eval()
    return lambda reference, picture: autoencoder.decode(autoencoder.encode(reference), autoencoder.encode(picture))[0]


@torch.inference_mode()
def measure(coder: Coder, pictures: np.ndarray, references: np.ndarray, network: SqueezeDistance) -> np.ndarray:
    """uint8 [N, S, S, 3] twice -> PSNR, SSIM and distance of each picture, float64 [N, 3]."""
    values = []
    for start in range(0, len(pictures), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        decoded = to_pictures(coder(to_tensor(references[part]), to_tensor(pictures[part])))
        values += [(psnr(d, p), ssim(d, p), picture_distance(network, d, p)) for d, p in zip(decoded, pictures[part])]
    return np.array(values)


class Taef2:
    """TAESD's architecture, derived from the tensors of the two files. Pictures in [0, 1].

    64 channels, blocks of three convolutions, of which those at an eighth of the size also have a branch of 256
    normalised channels; ReLU throughout.

    Raises:
        RuntimeError: the files contain other tensors.
    """

    def __init__(self, encoder: str, decoder: str) -> None:
        self._encoder, self._decoder = (_build(path) for path in (encoder, decoder))

    def code(self, _: Tensor, picture: Tensor) -> Tensor:
        latents = self._encoder((picture + 1) / 2)
        return self._decoder(3 * torch.tanh(latents / 3)) * 2 - 1


def _build(path: str) -> nn.Sequential:
    """Layers 0 to the last number in the file; layers without tensors exist only in the decoder."""
    tensors = {name: value.float() for name, value in torch.load(path, map_location="cpu", weights_only=True).items()}
    last = max(int(name.split(".")[0]) for name in tensors)
    layers: list[nn.Module] = []
    for index in range(last + 1):
        weight = tensors.get(f"{index}.weight")
        if f"{index}.conv.0.weight" in tensors:
            layers.append(_Block(f"{index}.pool.0.weight" in tensors))
        elif weight is None:  # 0: the clamp, which `code` applies; 2: a ReLU; then upsampling
            layers.append({0: nn.Identity(), 2: nn.ReLU()}.get(index, nn.Upsample(scale_factor=2)))
        else:
            has_bias = f"{index}.bias" in tensors
            # In the encoder, convolutions without bias halve the size; in the decoder they follow upsampling.
            stride = 2 if not has_bias and not isinstance(layers[-1], nn.Upsample) else 1
            layers.append(nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride, 1, bias=has_bias))
    network = nn.Sequential(*layers)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


class _Block(nn.Module):
    def __init__(self, wide: bool) -> None:
        super().__init__()
        first, second, third = (nn.Conv2d(64, 64, 3, padding=1) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        self.pool = None
        if wide:
            expand, shrink = nn.Conv2d(64, 256, 1, bias=False), nn.Conv2d(256, 64, 1, bias=False)
            self.pool = nn.Sequential(expand, nn.GroupNorm(4, 256), nn.ReLU(), shrink)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + x)


if __name__ == "__main__":
    main()
