"""bf16 where the processor has instructions for it, and only there."""

import pytest
import torch

from shared.precision import autocast, has_fast_bf16, uses_bf16


@pytest.mark.parametrize(
    "amx, avx512, amd, expected",
    [(0, 0, 1, 0), (1, 0, 0, 1), (0, 1, 1, 1), (0, 1, 0, 0), (None, 1, 1, 1), (None, None, 1, 0)],
)
def test_either_instruction_set_is_enough_where_it_is_fast(monkeypatch, amx, avx512, amd, expected):
    monkeypatch.setattr("shared.precision._is_amd", lambda: bool(amd))
    for name, value in (("_is_amx_tile_supported", amx), ("_is_avx512_bf16_supported", avx512)):
        monkeypatch.delattr(torch.cpu, name, raising=False)
        if value is not None:
            monkeypatch.setattr(torch.cpu, name, lambda value=value: bool(value), raising=False)
    assert has_fast_bf16("cpu") == has_fast_bf16(torch.device("cpu")) == bool(expected)
    assert not has_fast_bf16("meta")


@pytest.mark.parametrize("fast", [False, True])
def test_a_precision_that_is_asked_for_is_used(monkeypatch, fast):
    monkeypatch.setattr("shared.precision.has_fast_bf16", lambda device: fast)
    assert [uses_bf16("cpu", name) for name in ("auto", "float32", "bf16")] == [fast, False, True]
    for name in ("auto", "float32", "bf16"):
        with autocast("cpu", name):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if uses_bf16("cpu", name) else torch.float32)
