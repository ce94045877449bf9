import pickle

import pytest

from fd2talk.unexpected import Unexpected, guarded
from shared.errors import InputError


def raising(error):
    raise error


def test_what_nobody_expected_is_returned_in_one_line():
    assert guarded(divmod, "a.mp4", (7, 3)) == (2, 1)
    found = guarded(divmod, "a.mp4", (7, 0))
    assert isinstance(found, Unexpected) and str(found).startswith("a.mp4: unexpected ZeroDivisionError: ")
    twofold = guarded(raising, "a.mp4", (RuntimeError("two\n  lines"),))
    assert str(twofold) == "a.mp4: unexpected RuntimeError: two lines"
    assert str(guarded(raising, "a.mp4", (MemoryError(),))) == "a.mp4: unexpected MemoryError"
    assert len(str(guarded(raising, "a.mp4", (RuntimeError("long " * 999),)))) < 250
    assert pickle.loads(pickle.dumps(found)) == found


STOPS = InputError("no face"), ModuleNotFoundError("no cv9", name="cv9"), KeyboardInterrupt()


@pytest.mark.parametrize("error", STOPS)
def test_errors_of_the_user_of_packages_and_stops_are_raised(error):
    with pytest.raises(type(error)):
        guarded(raising, "a.mp4", (error,))
