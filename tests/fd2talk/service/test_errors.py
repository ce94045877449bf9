"""Whether the disk was full, however a library says so."""

import errno

from fd2talk.service.errors import is_caused_by_full_disk


def test_a_full_disk_is_found_among_the_causes():
    outer, inner = RuntimeError("cannot write"), OSError(errno.ENOSPC, "No space left on device")
    assert not is_caused_by_full_disk(outer)
    outer.__cause__ = inner
    assert is_caused_by_full_disk(outer) and is_caused_by_full_disk(inner)
    assert is_caused_by_full_disk(RuntimeError("ffmpeg: No space left on device"))


def test_causes_that_lead_round_in_a_circle_end():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert not is_caused_by_full_disk(first)
    first.__cause__ = first
    assert not is_caused_by_full_disk(first)
