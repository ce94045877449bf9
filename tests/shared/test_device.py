import pytest
import torch

from shared.device import require_device
from shared.errors import UsageError


def test_devices():
    assert require_device("cpu") == require_device(torch.device("cpu")) == torch.device("cpu")
    for name in ("toaster", "meta", "cpu:5", "", "cuda:99", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(UsageError, match=f"the device '{name}' is not available"):
            require_device(name)
