"""bf16 and int8 where the processor has instructions for them, and only there."""

import pytest
import torch

from shared.precision import autocast, has_fast_bf16, has_fast_int8, resolved


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
    expected = ["bf16" if fast else "float32", "float32", "bf16", "int8"]
    assert [resolved("cpu", name) for name in ("auto", "float32", "bf16", "int8")] == expected
    for name in ("auto", "float32", "bf16"):
        with autocast("cpu", name):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if resolved("cpu", name) == "bf16" else torch.float32)


@pytest.mark.parametrize("vnni", [False, True, None])
def test_int8_is_for_networks_that_can_and_processors_that_are_made_for_it(monkeypatch, vnni):
    monkeypatch.setattr("shared.precision.has_fast_bf16", lambda device: True)
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported", raising=False)
    if vnni is not None:
        monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni, raising=False)
    assert has_fast_int8("cpu") == bool(vnni) and not has_fast_int8("cuda:0")
    assert resolved("cpu", "auto", int8=True) == ("int8" if vnni else "bf16")
    assert resolved("cpu", "auto") == "bf16" and resolved("cpu", "float32", int8=True) == "float32"
