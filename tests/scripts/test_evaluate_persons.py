"""What a person is learned from."""

import click
import numpy as np
import pytest
from evaluate_persons import first_seconds
from held_out_clips import HeldOut

from shared.motion import Motion


@pytest.fixture
def clips():
    def clip(number):
        moving = [np.full((75, size), number, np.float32) for size in (70, 3, 3)]
        return HeldOut(str(number), "p", Motion(*moving, "f", audio=np.zeros(48000, np.float32)), None, 0)

    return [clip(number) for number in range(10)]


def test_a_smaller_size_is_part_of_a_larger_one(clips):
    sizes = {seconds: first_seconds(clips, seconds, 0) for seconds in (5, 10, 30)}
    numbers = {seconds: [int(m.expression[0, 0]) for m in motions] for seconds, motions in sizes.items()}
    assert [len(motion) for motion in sizes[5]] == [75, 50] and len(sizes[5][1].audio) == 32000
    assert numbers[10][:2] == numbers[5] and numbers[30][:4] == numbers[10] and sorted(numbers[30]) == [*range(10)]
    assert sum(map(len, sizes[10])) == 250
    assert numbers[5] != [int(m.expression[0, 0]) for m in first_seconds(clips, 5, 1)]
    with pytest.raises(click.UsageError, match="last 30 s, not 31"):
        first_seconds(clips, 31, 0)
