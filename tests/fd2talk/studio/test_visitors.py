"""Many visitors at once, and those who leave, over real HTTP."""

import gc
import json
import threading
import time
import weakref

import psutil
import pytest
from studio_client import PNG, Client, SmallEngine, file_of, files_in, links, running, wait_for

from fd2talk.studio.limits import Limits
from fd2talk.studio.same_page import Loaded
from fd2talk.studio.visitors import Visitors


def test_twenty_visitors_at_once(wav):
    """One works, ten wait, the rest are told that it is busy; whoever waits gets their own video."""
    engine = SmallEngine()
    engine.stage.gate.clear()
    with running(engine, Limits(waiting=10, leave_seconds=0.1, keep_seconds=0.2)) as (studio, address):
        clients = [Client(address) for _ in range(20)]
        sounds = [client.upload(wav, "s.wav")[1] for client in clients]
        for client in clients:
            client.come()
        said = [None] * 20
        fit = clients[0].photo(clients[0].upload(PNG, "p.png")[1])
        assert "One face" in fit
        photo = next(iter(studio.visitors.find(clients[0].http.cookies["fd2talk_visitor"]).pages.values())).photo
        for client in clients[1:]:  # the same fit for all: here it is the queue that counts
            studio.visitors.page(client.http.cookies["fd2talk_visitor"], client.session).photo = photo

        def go(number):
            said[number] = clients[number].generate(sounds[number], seed=number)

        threads = [threading.Thread(target=go, args=(number,)) for number in range(20)]
        threads[0].start()
        wait_for(lambda: studio.jobs.busy)  # then ten have a place in the queue
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: sum(one is not None for one in said) == 9)
        engine.stage.gate.set()
        for thread in threads:
            thread.join(timeout=600)
        done = [number for number in range(20) if said[number]["stage"] == "Done"]
        busy = [number for number in range(20) if "Busy: 10 jobs are waiting" in said[number]["failed"]]
        assert sorted(done + busy) == [*range(20)] and len(done) == 11
        for number in done:
            assert f"seed {number}<" in said[number]["results"]
            assert clients[number].http.get(links(said[number]["results"])["mp4"]).status_code == 200
        for client in clients:
            client.leave()
        wait_for(lambda: len(studio.visitors) == 0 and not files_in(studio.visitors.folder))


def test_a_second_job_of_a_visitor_is_refused(wav):
    engine = SmallEngine()
    engine.stage.gate.clear()
    with running(engine) as (studio, address), Client(address) as client:
        client.photo(client.upload(PNG, "p.png")[1])
        sound = file_of(client.upload(wav, "s.wav")[1])
        client.join("generate", "click", {"speech": sound, "max-size": 128})
        wait_for(lambda: studio.jobs.busy)
        other = Client(address, session="other")
        other.http.cookies = client.http.cookies
        page = studio.visitors.page(client.http.cookies["fd2talk_visitor"], "other")
        page.photo = studio.visitors.page(client.http.cookies["fd2talk_visitor"], client.session).photo
        got = other.generate(sound["path"])
        assert "already: a video is being generated in the tab Generate of another window" in got["failed"]
        assert other.fire("stop", "click")["failed"] == ""  # stops it, wherever it was begun
        wait_for(lambda: not studio.jobs.busy)


def test_a_second_click_changes_nothing(wav):
    engine = SmallEngine()
    engine.stage.gate.clear()
    with running(engine) as (studio, address), Client(address) as client:
        client.photo(client.upload(PNG, "p.png")[1])
        sound = file_of(client.upload(wav, "s.wav")[1])
        given = {"speech": sound, "max-size": 128, "renderer": "geometry"}
        client.join("generate", "click", given)
        wait_for(lambda: studio.jobs.busy)
        client.join("generate", "click", given)
        threading.Timer(1.0, engine.stage.gate.set).start()
        text = json.dumps([*client.messages()])
        assert "job already" not in text and "Done" in text


def test_edits_give_way_to_a_new_video(wav):
    engine = SmallEngine()
    with running(engine) as (studio, address), Client(address) as client:
        client.photo(client.upload(PNG, "p.png")[1])
        page = studio.visitors.page(client.http.cookies["fd2talk_visitor"], client.session)
        calls, go = [], threading.Event()

        def drawing(report):
            calls.append(1)
            while not go.is_set():
                report("rendering")
                time.sleep(0.01)

        got = []
        thread = threading.Thread(target=lambda: got.extend(studio.run(page, drawing)))
        thread.start()
        wait_for(lambda: calls)
        assert client.generate(client.upload(wav, "s.wav")[1])["stage"] == "Done"
        go.set()
        thread.join(60)
        assert len(calls) == 2 and type(got[-1]).__name__ == "Finished"


def test_whoever_leaves_in_mid_job_leaves_nothing(wav):
    engine = SmallEngine()
    with running(engine, Limits(leave_seconds=0.1, keep_seconds=0.2)) as (studio, address):

        def visit():
            """Leave while the job is running; returns a weak reference to the photo."""
            with Client(address) as client:
                client.come()
                client.photo(client.upload(PNG, "p.png")[1])
                sound = file_of(client.upload(wav, "s.wav")[1])
                engine.stage.gate.clear()
                client.join("generate", "click", {"speech": sound, "max-size": 128})
                wait_for(lambda: studio.jobs.busy)
                assert any(studio.visitors.folder.rglob("*.wav"))
                photo = studio.visitors.page(client.http.cookies["fd2talk_visitor"], client.session).photo
            wait_for(lambda: not studio.jobs.busy, 20)
            wait_for(lambda: len(studio.visitors) == 0, 20)
            engine.stage.gate.set()
            wait_for(lambda: not files_in(studio.visitors.folder), 20)
            return weakref.ref(photo)

        def forgotten(photo):
            gc.collect()
            return photo() is None

        def threads():
            """All but those of the server's pool, of which it has as many as are busy at once."""
            return sum("AnyIO worker" not in thread.name for thread in threading.enumerate())

        process = psutil.Process()
        first = visit()
        wait_for(lambda: forgotten(first))
        memory, before = process.memory_info().rss, threads()
        for photo in (visit(), visit()):
            wait_for(lambda photo=photo: forgotten(photo))
        # Threads of the server get memory of their own when they are first used, some ten megabytes each.
        assert process.memory_info().rss - memory < 200e6
        wait_for(lambda: threads() <= before + 2)


def test_stop_stops(wav):
    engine = SmallEngine()
    engine.stage.gate.clear()
    with running(engine) as (studio, address), Client(address) as client:
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        got = {}
        thread = threading.Thread(target=lambda: got.update(client.generate(sound)))
        thread.start()
        wait_for(lambda: studio.jobs.busy)
        with Client(address, session="button") as button:
            button.http.cookies = client.http.cookies
            button.fire("stop", "click")
        thread.join(timeout=60)
        assert got["stage"] == "Stopped"
        assert not [*studio.visitors.folder.rglob("*.mp4")]


def test_an_own_visitors_files_are_limited(wav):
    with running(limits=Limits(folder_bytes=len(PNG))) as (_, address), Client(address) as client:
        assert client.upload(PNG, "a.png")[0] == 200
        assert client.upload(PNG, "b.png")[0] == 200
        status, said = client.upload(PNG, "c.png")
        assert status == 422 and "your files take more than" in said


def visitors_with(**limits):
    stopped = []
    found = Visitors(Limits(keep_seconds=600, **limits), stopped.append, lambda page: None)
    found.stopped = stopped
    return found


@pytest.fixture
def visitors():
    """Visitors, and the pages whose work was `stopped`: none, as all come back at once, however long that takes."""
    found = visitors_with(leave_seconds=600)
    yield found
    assert found.stopped == []
    found.remove()


@pytest.fixture
def hasty():
    """As `visitors`; their work stops as soon as they leave."""
    found = visitors_with(leave_seconds=0.05)
    yield found
    found.remove()


def left_pages(visitors, visitor, *sessions):
    """Pages that hold something and were left."""
    for session in sessions:
        visitors.opened(visitor, session)
    pages = [visitors.page(visitor.name, session) for session in sessions]
    for page in pages:
        page.generated = [object()]
        visitors.lost(visitor, page.session)
    return pages


def test_a_page_that_is_loaded_again_before_it_has_a_connection_comes_back(visitors):
    visitor = visitors.new()
    (page,) = left_pages(visitors, visitor, "first")
    visitors.claim(visitor, "second")  # a request comes before the connection that says that the page is open,
    visitors.claim(visitor, "third")  # which never does, as it is loaded again
    visitors.opened(visitor, "third")
    assert visitors.page(visitor.name, "third") is page and (page.left, page.timer) == (None, None)


def test_a_page_that_asked_but_was_never_open_stops(hasty):
    visitor = hasty.new()
    (page,) = left_pages(hasty, visitor, "first")
    hasty.claim(visitor, "second")
    assert hasty.page(visitor.name, "second") is page
    wait_for(lambda: hasty.stopped == [page])


def test_two_pages_that_are_opened_again_at_once_get_one_each(visitors):
    visitor = visitors.new()
    pages = left_pages(visitors, visitor, "old 1", "old 2")
    for session in ("new 1", "new 2"):
        visitors.claim(visitor, session)
    for session in ("new 1", "new 2"):
        visitors.opened(visitor, session)
    assert [visitors.page(visitor.name, session) for session in ("new 1", "new 2")] == pages[::-1]


@pytest.mark.parametrize("late", ["the end of a connection", "a connection"])
def test_a_page_comes_back_though_the_server_learns_late_that_it_was_left(visitors, late):
    visitor = visitors.new()
    visitors.opened(visitor, "first")
    page = visitors.page(visitor.name, "first")
    page.generated = [object()]
    if late == "a connection":  # of a page that was loaded again at once
        visitors.lost(visitor, "first")
        visitors.opened(visitor, "second")
    visitors.opened(visitor, "third")
    timer = threading.Timer(0.2, visitors.lost, (visitor, page.session))
    timer.start()
    assert visitors.loaded(visitor.name, "third", patience=60) is page
    assert visitors.page(visitor.name, "third") is page and (page.left, page.connections) == (None, 1)
    assert [*visitor.pages] == ["third"]
    timer.join()
    visitors.lost(visitor, "third")
    assert page.left is not None and page.timer.is_alive()


def test_a_second_page_takes_nothing_from_one_that_is_open(visitors):
    visitor = visitors.new()
    visitors.opened(visitor, "first")
    page = visitors.page(visitor.name, "first")
    page.generated = [object()]
    visitors.opened(visitor, "second")
    assert visitors.loaded(visitor.name, "second", patience=0.1) is visitors.page(visitor.name, "second") is not page
    assert visitors.page(visitor.name, "first") is page


def test_a_window_gets_its_page_again_though_the_browser_has_not_ended_the_connection_before(visitors):
    visitor = visitors.new()
    visitors.opened(visitor, "first")
    page = visitors.loaded(visitor.name, "first", Loaded("window", 1))
    page.generated = [object()]
    visitors.opened(visitor, "second")
    visitors.opened(visitor, "third")
    assert visitors.loaded(visitor.name, "third", Loaded("window", 3), patience=0) is page
    # The load before it is answered late; it takes nothing, and neither does the end of the connections before.
    assert visitors.loaded(visitor.name, "second", Loaded("window", 2), patience=0) is not page
    for session in ("first", "second"):
        visitors.lost(visitor, session)
    assert visitors.page(visitor.name, "third") is page and (page.left, page.connections) == (None, 1)
    visitors.lost(visitor, "third")
    assert page.left is not None and page.timer.is_alive()


def test_a_page_that_is_loaded_but_never_open_stops(hasty):
    visitor = hasty.new()
    hasty.opened(visitor, "first")
    page = hasty.loaded(visitor.name, "first", Loaded("window", 1))
    page.generated = [object()]
    assert hasty.loaded(visitor.name, "second", Loaded("window", 2), patience=0) is page
    wait_for(lambda: hasty.stopped == [page])


def test_a_window_that_was_closed_keeps_its_page_while_another_is_loaded_again(visitors):
    visitor, pages = visitors.new(), {}
    for window in ("closed", "open"):
        visitors.opened(visitor, f"{window} 1")
        pages[window] = visitors.loaded(visitor.name, f"{window} 1", Loaded(window, 1))
        pages[window].generated = [object()]
    visitors.lost(visitor, "closed 1")
    visitors.opened(visitor, "open 2")  # before the end of the connection of its first load is known
    assert visitors.loaded(visitor.name, "open 2", Loaded("open", 2)) is pages["open"]
    assert pages["open"].connections == 1 and pages["closed"].left is not None
    assert visitors.loaded(visitor.name, "closed 2", Loaded("new", 1)) is pages["closed"]


@pytest.mark.parametrize(
    "sent", [None, "", "a", "a b", " 1", "a 1 2", "a -1", "a \N{SUPERSCRIPT TWO}", "a" * 60 + " 1", 7, ["a 1"]]
)
def test_what_names_no_window_names_none(sent):
    assert Loaded.parsed(sent) is None and Loaded.parsed("a 12") == Loaded("a", 12)
