"""Batches ahead of the step: the same ones, in order, with their errors, and no thread that stays."""

import threading
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from shared.training.batches import batches_from, own_rows, share
from shared.training.config import TrainingConfig


def config(prefetch, readers=1):
    return TrainingConfig("unused", seed=3, max_steps=9, batch_size=4, prefetch=prefetch, readers=readers)


def draw(generator, batch_size):
    return {"x": torch.rand(batch_size, generator=generator)}


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_a_step_has_the_same_batch_whenever_it_is_drawn(prefetch):
    drawn = [batch["x"] for batch in batches_from(4, draw, config(prefetch), Accelerator())]
    assert len(drawn) == 5
    for step, x in enumerate(drawn, start=4):
        assert torch.equal(x, draw(torch.Generator().manual_seed(3 * 1_000_003 + step), 4)["x"])


def test_batches_are_drawn_ahead_and_the_thread_ends():
    ahead = threading.Event()
    calls = []

    def counting(generator, batch_size):
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            ahead.set()
        return draw(generator, batch_size)

    batches = batches_from(0, counting, config(2), Accelerator())
    next(batches)
    assert ahead.wait(120)  # the two that follow, while none but the first was asked for
    batches.close()
    assert len(calls) == 3 and not any(thread.name in calls for thread in threading.enumerate())


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_is_raised_in_its_step(prefetch):
    def failing(generator, batch_size):
        if generator.initial_seed() == 3 * 1_000_003 + 1:
            raise ValueError("second")
        return draw(generator, batch_size)

    batches = batches_from(0, failing, config(prefetch), Accelerator())
    next(batches)
    with pytest.raises(ValueError, match="second"):
        next(batches)


def test_shares_of_rows_and_of_counts_of_first_rows():
    rows = torch.arange(6)
    assert [share(rows, slice(r, None, 3)).tolist() for r in range(3)] == [[0, 3], [1, 4], [2, 5]]
    assert [share(4, slice(r, None, 3)) for r in range(3)] == [2, 1, 1]  # of 0, 1, 2, 3: 0 and 3; 1; 2
    assert share(True, slice(1, None, 3)) is True and share(torch.tensor(7), slice(1, None, 3)) == 7


@pytest.mark.parametrize("prefetch, readers", [(0, 1), (2, 1), (4, 3)])
def test_a_process_need_read_its_own_rows_only(prefetch, readers):
    asked = []

    def reading(generator, batch_size):
        x = torch.rand(batch_size, generator=generator)
        asked.append(list(own_rows(batch_size)))
        mine = torch.zeros(batch_size, dtype=torch.bool)
        mine[asked[-1]] = True
        return {"x": torch.where(mine, x, torch.nan)}

    second = SimpleNamespace(device=torch.device("cpu"), process_index=1, num_processes=2)
    settings = config(prefetch, readers)
    for step, batch in enumerate(batches_from(0, reading, settings, second)):
        assert torch.equal(batch["x"], draw(torch.Generator().manual_seed(3 * 1_000_003 + step), 4)["x"][1::2])
    assert asked == [[1, 3]] * 9
    assert list(own_rows(4)) == [0, 1, 2, 3]  # outside, where validation runs


def test_several_readers_draw_the_same_batches_in_order():
    one, four = ([b["x"] for b in batches_from(0, draw, config(5, n), Accelerator())] for n in (1, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, four, strict=True))
