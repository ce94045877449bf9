import pytest
import torch

from fd2talk.commands.inputs import check_device, fit_photo
from fd2talk.options import FaceChoice
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.media import read_image


def test_devices():
    check_device("cpu")
    for name in ("toaster", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(UsageError, match=f"the device '{name}' is not available"):
            check_device(name)


def test_errors_name_the_photo_and_boxes_are_in_pixels_of_the_file(photo):
    image = read_image(photo)
    with pytest.raises(InputError, match=f"{photo}: "):
        fit_photo(load_bundled(), str(photo), image, FaceChoice(index=3))
    reduced = image[::2, ::2]  # as `read_image` reduces very large photos
    fitted = fit_photo(load_bundled(), str(photo), reduced, FaceChoice(box=(50.0, 40.0, 190.0, 220.0)))
    assert 40 < fitted.crop.center_x < 80
