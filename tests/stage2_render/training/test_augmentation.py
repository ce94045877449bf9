"""Random changes of training pairs."""

import torch

from stage2_render.training.augmentation import recolour, sharpen

IMAGES = ("target", "reference")


def test_sharpening_amplifies_waves_of_a_few_pixels_and_leaves_slow_ones():
    for period, least, most in ((3, 1.5, 3.0), (60, 0.999, 1.1)):
        wave = torch.sin(torch.arange(120) * 2 * torch.pi / period).expand(8, 3, 10, 120) / 4
        batch = {name: wave.clone() for name in IMAGES}
        sharpen(batch, IMAGES, torch.Generator().manual_seed(0), 2.0)
        gains = batch["target"][:, 0, 5, 40:80].std(1) / wave[:, 0, 5, 40:80].std(1)
        assert gains.min() >= 0.999 and least < gains.max() < most
        torch.testing.assert_close(batch["target"], batch["reference"])


def test_both_images_change_colour_alike_and_some_become_grey():
    torch.manual_seed(0)
    images = torch.rand(200, 3, 4, 4) - 0.5
    batch = {name: images.clone() for name in IMAGES}
    recolour(batch, IMAGES, torch.Generator().manual_seed(0), 0.2)
    torch.testing.assert_close(batch["target"], batch["reference"])
    # A grey pair has channels that are affine functions of each other.
    flat = batch["target"].flatten(2)
    grey = [abs(torch.corrcoef(pixels[[0, 1]])[0, 1]) > 0.9999 for pixels in flat]
    assert 20 < sum(grey) < 65
    assert not torch.equal(batch["target"], images) and batch["target"].abs().max() <= 1
