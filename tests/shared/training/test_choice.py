import numpy as np
import pytest
import torch

from shared.training import choice
from shared.training.choice import WeightedChoice


@pytest.mark.parametrize("searched", [0, 1 << 20])
def test_places_are_drawn_as_often_as_they_weigh(monkeypatch, searched):
    monkeypatch.setattr(choice, "_SEARCHED", searched)
    weights = np.array([0.0, 1.0, 0.0, 3.0, 2.0, 0.0])
    choose = WeightedChoice(weights)
    drawn = choose(20_000, torch.Generator().manual_seed(1))
    assert drawn.dtype == torch.int64
    shares = np.bincount(drawn, minlength=6) / 20_000
    np.testing.assert_allclose(shares, weights / 6, atol=0.015)
    assert not shares[[0, 2, 5]].any()
    assert torch.equal(drawn, choose(20_000, torch.Generator().manual_seed(1)))
    assert not torch.equal(drawn, choose(20_000, torch.Generator().manual_seed(2)))


def test_few_are_drawn_as_torch_does():
    weights = np.random.default_rng(0).random(50)
    expected = torch.multinomial(
        torch.from_numpy(weights), 9, replacement=True, generator=torch.Generator().manual_seed(3)
    )
    assert torch.equal(WeightedChoice(weights)(9, torch.Generator().manual_seed(3)), expected)


def test_more_than_torch_takes(monkeypatch):
    weights = np.zeros(2**24 + 10)
    weights[[5, 2**24 + 9]] = 1
    drawn = WeightedChoice(weights)(50, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {5, 2**24 + 9}
