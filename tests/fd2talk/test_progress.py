from fd2talk.progress import counted


def test_counted_passes_everything_on_and_closes_what_it_reads():
    closed = []

    def numbers():
        try:
            yield from range(3)
        finally:
            closed.append(1)

    assert list(counted(numbers(), 3, "counting")) == [0, 1, 2]
    first = counted(numbers(), 3, "counting")
    assert next(first) == 0
    first.close()
    assert closed == [1, 1]
