import pytest

from fd2talk.studio.splice import cut_out, put_in
from shared.spliced_sound import Part

SOUND = (Part("a", 0.5, 2.0), Part("b", 0.0, 3.0))


def test_cuts():
    assert cut_out(SOUND, 0, 1) == (Part("a", 1.5, 1.0), Part("b", 0.0, 3.0))
    assert cut_out(SOUND, 1.5, 3) == (Part("a", 0.5, 1.5), Part("b", 1.0, 2.0))
    assert cut_out(SOUND, 0.5, 1) == (Part("a", 0.5, 0.5), Part("a", 1.5, 1.0), Part("b", 0.0, 3.0))
    assert cut_out(SOUND, 2, 5) == (Part("a", 0.5, 2.0),) and cut_out((), 0, 1) == ()


@pytest.mark.parametrize("at, before, behind", [(0, 0, 2), (2, 1, 1), (5, 2, 0), (4, 2, 1)])
def test_inserts(at, before, behind):
    joined = put_in(SOUND, at, "c", 0.4)
    assert joined.index(Part("c", 0.0, 0.4)) == before and len(joined) == before + 1 + behind
    assert sum(part.seconds for part in joined) == pytest.approx(5.4)
    assert put_in((), at, "c", 1) == ()
