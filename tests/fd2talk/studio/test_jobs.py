import threading
import time

import pytest
from studio_client import wait_for

from fd2talk.studio.jobs import Busy, Cancelled, Finished, HandedOver, Jobs, Progress, Shown, Waiting
from shared.errors import UsageError


@pytest.fixture
def jobs():
    jobs = Jobs(waiting=2)
    yield jobs
    jobs.close()


def follow(jobs, visitor, work, page="page"):
    """A thread that follows a job, and what it gets."""
    got = []

    def run():
        try:
            got.extend(jobs.run(visitor, page, work))
        except BaseException as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


def test_progress_and_what_is_shown_come_in_order(jobs):
    def work(report):
        report("a", 1, 2)
        report.show("first")
        report("b")
        return 7

    got = [new for new in jobs.run("anna", "page", work) if not isinstance(new, Waiting)]
    assert got[-1] == Finished(7)
    assert got.index(Shown("first")) < got.index(Finished(7))
    assert all(isinstance(new, (Progress, Shown, Finished)) for new in got)


def test_jobs_take_turns_and_are_told_how_many_come_first(jobs):
    go, order = threading.Event(), []

    def work(name):
        def work(report):
            order.append(name)
            go.wait(120)

        return work

    first, _ = follow(jobs, "a", work("a"))
    wait_for(lambda: jobs.busy)
    second, said = follow(jobs, "b", work("b"))
    wait_for(lambda: Waiting(1) in said)
    third, _ = follow(jobs, "c", work("c"))
    wait_for(lambda: len(jobs._queue) == 2)
    with pytest.raises(UsageError, match="busy: 2 jobs"):
        next(jobs.run("d", "page", work("d")))
    with pytest.raises(UsageError, match="you have a job already"):
        next(jobs.run("b", "page", work("b")))
    go.set()
    for thread in (first, second, third):
        thread.join(60)
    assert order == ["a", "b", "c"]


def test_what_work_raises_is_raised_where_it_is_waited_for(jobs):
    def broken(report):
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        [*jobs.run("a", "page", broken)]
    assert [*jobs.run("a", "page", lambda report: 1)][-1] == Finished(1)


def endless(report):
    while True:
        report("going on")
        time.sleep(0.01)


def test_a_job_stops_when_nobody_follows_it(jobs):
    news = jobs.run("a", "page", endless)
    next(news)
    wait_for(lambda: jobs.busy)
    news.close()
    wait_for(lambda: not jobs.busy)


@pytest.mark.parametrize("page", [None, "page"])
def test_cancel_stops_a_visitors_job(jobs, page):
    thread, got = follow(jobs, "a", endless)
    wait_for(lambda: jobs.busy)
    jobs.cancel("a", "another page")
    jobs.cancel("b")
    time.sleep(0.1)
    assert jobs.busy
    jobs.cancel("a", page)
    thread.join(60)
    assert isinstance(got[-1], Cancelled) and not jobs.busy


def test_a_waiting_job_can_be_cancelled(jobs):
    first, _ = follow(jobs, "a", endless)
    wait_for(lambda: jobs.busy)
    second, got = follow(jobs, "b", endless)
    wait_for(lambda: got)
    jobs.cancel("b")
    second.join(60)
    assert isinstance(got[-1], Cancelled) and jobs.busy
    jobs.cancel("a")
    first.join(60)


def test_nobody_waits_for_no_job(jobs):
    got = [*jobs.run("a", "page", lambda report: 1)]
    assert Waiting(0) not in got and got[-1] == Finished(1)


def test_what_gives_way_goes_on_afterwards(jobs):
    begun = []

    def background(report):
        begun.append("background")
        while len(begun) < 3:
            report("going on")
            time.sleep(0.01)
        return "kept"

    def first(report):
        begun.append("first")
        return "first"

    got = []
    thread = threading.Thread(target=lambda: got.extend(jobs.run("a", "page", background, gives_way=True)))
    thread.start()
    wait_for(lambda: begun == ["background"])
    assert [*jobs.run("a", "page", first)][-1] == Finished("first")
    thread.join(60)
    assert begun == ["background", "first", "background"] and got[-1] == Finished("kept")


def test_what_gives_way_waits_behind_the_visitors_job_and_survives_its_end(jobs):
    first, stopped = follow(jobs, "a", endless)
    wait_for(lambda: jobs.busy)
    got = []
    behind = threading.Thread(target=lambda: got.extend(jobs.run("a", "page", lambda report: 2, gives_way=True)))
    behind.start()
    wait_for(lambda: Waiting(1) in got)
    jobs.cancel_first("a")
    first.join(60)
    behind.join(60)
    assert isinstance(stopped[-1], Cancelled) and got[-1] == Finished(2)


def test_a_later_one_of_the_page_takes_the_place_of_what_gives_way(jobs):
    got = []

    def run():
        try:
            got.extend(jobs.run("a", "page", endless, "frames are rendered", gives_way=True))
        except Cancelled as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: jobs.busy)
    with pytest.raises(Busy, match="frames are rendered of another window; wait for it, or stop it first"):
        next(jobs.run("a", "another", endless, "", gives_way=True))
    assert [*jobs.run("a", "page", lambda report: 3, gives_way=True)][-1] == Finished(3)
    thread.join(60)
    assert isinstance(got[-1], Cancelled)


def test_stop_reaches_a_job_that_gives_way_where_there_is_no_other(jobs):
    thread = threading.Thread(target=lambda: pytest.raises(Cancelled, lambda: [*jobs.run("a", "p", endless, "", True)]))
    thread.start()
    wait_for(lambda: jobs.busy)
    jobs.cancel_first("a")
    thread.join(60)
    assert not jobs.busy


def test_close_stops_everything():
    jobs = Jobs(waiting=5)
    threads = [follow(jobs, str(number), endless) for number in range(3)]
    wait_for(lambda: jobs.busy)
    jobs.close()
    for thread, got in threads:
        thread.join(60)
        assert isinstance(got[-1], Cancelled)
    with pytest.raises(Cancelled):
        next(jobs.run("a", "page", endless))


def test_a_job_that_stays_is_followed_by_somebody_else(jobs):
    go = threading.Event()

    def work(report):
        report.show("first")
        while not go.is_set():
            report("going on", 1, 2)
            time.sleep(0.01)
        report.show("second")
        return 5

    got = []

    def run():
        try:
            got.extend(jobs.run("a", "page", work, "this", stays=True))
        except HandedOver as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: Progress("going on", 1, 2) in got)
    assert jobs.follow("a", "page", "that") is None and jobs.follow("b", "page", "this") is None
    news = jobs.follow("a", "page", "this")
    thread.join(60)
    assert isinstance(got[-1], HandedOver)
    assert [next(news), next(news)] == [Shown("first"), Progress("going on", 1, 2)]
    news.close()  # nobody follows it: it goes on
    time.sleep(0.1)
    assert jobs.busy
    news = jobs.follow("a", "page", "this")
    go.set()
    assert [new for new in news if not isinstance(new, Progress)] == [Shown("first"), Shown("second"), Finished(5)]
    assert jobs.follow("a", "page", "this") is None


def test_a_job_that_stays_can_be_stopped(jobs):
    news = jobs.run("a", "page", endless, "this", stays=True)
    next(news)
    news.close()
    jobs.cancel("a", "page", "that")
    time.sleep(0.1)
    assert jobs.busy
    jobs.cancel("a", "page", "this")
    wait_for(lambda: not jobs.busy)
