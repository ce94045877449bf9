"""One format for weights: what they are is in the file, and asked for when it is read."""

import os
import stat

import pytest
import torch
from safetensors.torch import save_file

from shared.checkpoint import load_checkpoint, read_header, save_checkpoint
from shared.errors import InputError


def test_round_trip(tmp_path):
    tensors = {"weight": torch.randn(3, 4), "count": torch.tensor([7])}
    save_checkpoint(tmp_path / "a.safetensors", "test network", tensors, half=False, config={"width": 4})
    loaded, header = load_checkpoint(tmp_path / "a.safetensors", "test network")
    assert torch.equal(loaded["weight"], tensors["weight"]) and torch.equal(loaded["count"], tensors["count"])
    assert header == {"kind": "test network", "config": {"width": 4}}
    save_checkpoint(tmp_path / "a.safetensors", "test network", {"weight": tensors["weight"]})
    loaded, _ = load_checkpoint(tmp_path / "a.safetensors", "test network")
    assert loaded["weight"].dtype == torch.float32 and torch.equal(loaded["weight"], tensors["weight"].half().float())


def test_others_may_read_it(tmp_path):
    before = os.umask(0o022)
    try:
        save_checkpoint(tmp_path / "a.safetensors", "test network", {"x": torch.zeros(1)})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644


def test_what_is_no_such_file_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="no such file; it should hold the weights of a test network"):
        load_checkpoint(path, "test network")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not the weights of a test network"):
        load_checkpoint(path, "test network")
    save_file({"x": torch.zeros(1)}, str(path))
    with pytest.raises(InputError, match="not the weights of a test network"):
        read_header(path, "test network")
    save_checkpoint(path, "other network", {"x": torch.zeros(1)})
    with pytest.raises(InputError, match="weights of kind other network, not test network"):
        load_checkpoint(path, "test network")
