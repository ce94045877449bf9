"""Reading of published checkpoints."""

import pytest
import torch

from shared.errors import InputError
from shared.metrics.checkpoints import read_tensors


def test_no_code_of_a_file_is_run(tmp_path):
    class Intruder:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"weight": Intruder()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="not a PyTorch file"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "written").exists()
