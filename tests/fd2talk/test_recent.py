import pytest

from fd2talk.recent import Recent


def test_what_was_made_is_made_once_and_those_used_last_are_kept():
    made, recent = [], Recent(2)

    def value(key, kind="a"):
        return recent.kept(kind, key, lambda: made.append(key) or f"{kind}{key}")

    assert [value(1), value(2), value(1), value(2)] == ["a1", "a2", "a1", "a2"] and made == [1, 2]
    value(1), value(3)  # 2 was used the longest time ago
    made.clear()
    value(1), value(3), value(2)
    assert made == [2]
    assert value(1, "b") == "b1"  # another kind has its own
    everything = Recent()
    assert [everything.kept("a", n, lambda n=n: n) for n in [*range(100), *range(100)]] == [*range(100)] * 2


def test_what_could_not_be_made_is_tried_again_and_costs_nobody_the_place():
    recent = Recent(1)
    first = recent.kept("a", 1, object)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            recent.kept("a", 2, lambda: 1 / 0)
    assert recent.kept("a", 1, object) is first
    assert recent.kept("a", 2, lambda: "there") == "there"
