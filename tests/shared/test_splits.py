"""Who is learned from."""

from shared.splits import is_development, is_learned_from

NAMES = [f"person_{number}" for number in range(2000)]


def test_a_share_of_the_people_is_learned_from_and_smaller_shares_are_part_of_larger_ones():
    quarter, half = ({name for name in NAMES if is_learned_from(name, share)} for share in (0.25, 0.5))
    assert abs(len(quarter) / len(NAMES) - 0.25) < 0.04 and abs(len(half) / len(NAMES) - 0.5) < 0.04
    assert quarter < half
    assert all(is_learned_from(name, 1.0) for name in NAMES) and not any(is_learned_from(name, 0.0) for name in NAMES)


def test_the_share_is_drawn_independently_of_the_development_split():
    for training in ("motion", "renderer", "speech"):
        development = [name for name in NAMES if is_development(name, training)]
        chosen = sum(is_learned_from(name, 0.5) for name in development) / len(development)
        assert 0.35 < chosen < 0.65
