"""Reconstruction by our autoencoder and by TAEF2."""

import cv2
import numpy as np
import torch
from evaluate_autoencoder import Taef2, measure, own_coder

from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.render_model import save_autoencoder


def difference(generated, real):
    return (generated - real).abs().mean((1, 2, 3))


def test_an_autoencoder_is_measured_without_detail_transfer(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    np.testing.assert_allclose(measure(lambda _, picture: picture, pictures, pictures, difference)[:, 1:], [[1, 0]] * 3)
    smooth = np.stack([cv2.GaussianBlur(picture, (0, 0), 12) for picture in pictures])
    autoencoder = Autoencoder(AutoencoderConfig(latent_channels=6, coarse=8, fine=8, fine_blocks=1))
    autoencoder.start_from(torch.from_numpy(smooth).permute(0, 3, 1, 2).float() / 127.5 - 1)
    save_autoencoder(autoencoder, tmp_path / "autoencoder.safetensors")
    values = measure(own_coder(tmp_path), smooth, smooth, difference)
    assert values.shape == (3, 3) and (values[:, 0] > 30).all()


def test_taef2_is_built_from_its_tensors(tmp_path):
    """From random tensors in the published layout: an eighth of the size and back."""
    halvings, deep, out = (2, 6, 10), (11, 12, 13), 14
    encoder = {"0": (64, 3, True), **{str(k): (64, 64, False) for k in halvings}, str(out): (32, 64, True)}
    decoder = {"1": (64, 32, True), **{str(k): (64, 64, False) for k in (7, 12, 17)}, "19": (3, 64, True)}
    for name, entries, last, wide in (("encoder", encoder, 15, deep), ("decoder", decoder, 20, (3, 4, 5))):
        tensors = {}
        for index in range(last):
            if str(index) in entries:
                outputs, inputs, bias = entries[str(index)]
                tensors[f"{index}.weight"] = 0.05 * torch.randn(outputs, inputs, 3, 3)
                if bias:
                    tensors[f"{index}.bias"] = torch.zeros(outputs)
            elif name == "encoder" or index not in (0, 2, 6, 11, 16):
                for k in (0, 2, 4):
                    tensors[f"{index}.conv.{k}.weight"] = 0.05 * torch.randn(64, 64, 3, 3)
                    tensors[f"{index}.conv.{k}.bias"] = torch.zeros(64)
                if index in wide:
                    tensors[f"{index}.pool.0.weight"] = 0.05 * torch.randn(256, 64, 1, 1)
                    tensors[f"{index}.pool.1.weight"] = torch.ones(256)
                    tensors[f"{index}.pool.1.bias"] = torch.zeros(256)
                    tensors[f"{index}.pool.3.weight"] = 0.05 * torch.randn(64, 256, 1, 1)
        torch.save({key: value.half() for key, value in tensors.items()}, tmp_path / f"{name}.pth")
    taef2 = Taef2(tmp_path / "encoder.pth", tmp_path / "decoder.pth")
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    assert taef2._encoder(picture).shape == (1, 32, 8, 8)
    assert taef2.code(picture, picture).shape == picture.shape
