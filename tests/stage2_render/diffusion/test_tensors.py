import numpy as np
import torch

from stage2_render.diffusion.tensors import to_pictures, to_tensor


def test_images_become_tensors_and_back():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    tensor = to_tensor(images)
    assert tensor.shape == (2, 3, 5, 7) and tensor.dtype == torch.float32
    torch.testing.assert_close(tensor[1, 2, 3, 4], torch.tensor(images[1, 3, 4, 2] / 127.5 - 1, dtype=torch.float32))
    np.testing.assert_array_equal(to_pictures(tensor), images)
    assert to_pictures(torch.full((1, 3, 1, 1), 1.2)).max() == 255
