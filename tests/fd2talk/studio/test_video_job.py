"""A page that is loaded again, over real HTTP: what comes back, to whom, and until when."""

import gc
import threading
import time
import weakref
from dataclasses import replace

import pytest
from studio_client import PNG, Client, SmallEngine, file_of, files_in, links, running, wait_for

from fd2talk.studio.edit_tab import _edited, _selected
from fd2talk.studio.jobs import HandedOver
from fd2talk.studio.limits import Limits


def page_of(studio, client):
    """The page of a client, which has loaded it by now."""
    return studio.visitors.loaded(client.http.cookies["fd2talk_visitor"], client.session, client.loaded)


def come(studio, client):
    """Open a page in a window."""
    client.come()
    return page_of(studio, client)


def reload(client, address):
    """The same browser, after F5: another page in the same window, with the same cookie."""
    client.leave()
    again = Client(address, before=client)
    again.come()
    return again


@pytest.fixture
def made(wav):
    """A studio in which a visitor has a video: (studio, address, client, what they got)."""
    with running(SmallEngine()) as (studio, address), Client(address) as client:
        come(studio, client)
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        client.fire("speech", "change", {"speech": file_of(sound)})
        yield studio, address, client, client.generate(sound, seed=7)


def test_a_video_and_what_it_was_made_of_come_back(made):
    studio, address, client, got = made
    before = page_of(studio, client)
    photo = before.photo
    with reload(client, address) as again:
        back = again.fire("page", "load")
        assert page_of(studio, again) is before and len(studio.visitors) == 1
        assert links(back["results"]) == links(got["results"]) and "seed 7" in back["results"]
        for url in links(back["results"]).values():
            assert again.http.get(url).status_code == 200
        assert back["seed"] == 7 and back["max-size"] == 128
        assert "One face" in again.photo(back["photo"]["path"]) and before.photo is photo  # it is not fitted again
        assert (
            "0.4 seconds" in again.fire("speech", "change", {"speech": file_of(back["speech"]["path"])})["sound-said"]
        )
        assert again.generate(back["speech"]["path"], seed=8)["stage"] == "Done"
    with reload(again, address) as third:
        assert "seed 8" in third.fire("page", "load")["results"]


def test_nobody_else_gets_it(made):
    studio, address, client, got = made
    client.leave()
    wait_for(lambda: page_of_all(studio)[0].left is not None)
    with Client(address, session=client.session) as other:  # even with the name of the page
        assert other.http.post("/gradio_api/queue/join", json={"session_hash": client.session}).status_code == 403
        other.session = "another"
        other.come()
        assert "results" not in other.fire("page", "load")
        assert [other.http.get(url).status_code for url in links(got["results"]).values()] == [404] * 4
        assert not page_of(studio, other).holds
    assert page_of_all(studio)[0].generated


def page_of_all(studio):
    return [page for visitor in studio.visitors._all.values() for page in visitor.pages.values() if page.holds]


def test_a_second_tab_is_a_page_of_its_own(made):
    _, address, client, _ = made
    with Client(address, cookies=client.http.cookies) as other:
        other.come()
        assert "results" not in other.fire("page", "load")


def test_a_page_comes_back_though_the_browser_still_holds_the_connection_before(made):
    studio, address, client, got = made
    with Client(address, before=client) as again:
        again.come()
        assert links(again.fire("page", "load")["results"]) == links(got["results"])
        client.leave()
        assert again.generate(page_of(studio, again).sound, seed=8)["stage"] == "Done"


def test_a_job_goes_on_while_the_page_is_loaded_again(wav):
    engine = SmallEngine()
    with running(engine) as (studio, address), Client(address) as client:
        come(studio, client)
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        engine.stage.gate.clear()
        client.join("generate", "click", {"speech": file_of(sound), "max-size": 128, "renderer": "geometry"})
        wait_for(lambda: studio.jobs.busy)
        with reload(client, address) as again:
            got = {}
            thread = threading.Thread(target=lambda: got.update(again.fire("page", "load")))
            thread.start()
            time.sleep(1)
            assert studio.jobs.busy and not got
            engine.stage.gate.set()
            thread.join(60)
            assert got["stage"] == "Done" and set(links(got["results"])) == {"mp4", "glb", "csv", "npz"}
            page = page_of(studio, again)
            assert len(page.generated) == 1 and not studio.jobs.has(page.visitor.name, page.name, "")


def test_a_job_that_ends_between_two_pages_is_shown(wav):
    engine = SmallEngine()
    with running(engine) as (studio, address), Client(address) as client:
        come(studio, client)
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        engine.stage.gate.clear()
        client.join("generate", "click", {"speech": file_of(sound), "max-size": 128, "renderer": "geometry"})
        wait_for(lambda: studio.jobs.busy)
        client.leave()
        engine.stage.gate.set()
        wait_for(lambda: not studio.jobs.busy)
        with reload(client, address) as again:
            assert set(links(again.fire("page", "load")["results"])) == {"mp4", "glb", "csv", "npz"}


def test_a_job_stops_when_the_page_does_not_come_back_and_what_was_made_is_kept_for_a_while(wav):
    engine = SmallEngine()
    limits = Limits(leave_seconds=0.3, keep_seconds=600.0)
    with running(engine, limits) as (studio, address), Client(address) as client:
        come(studio, client)
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        client.generate(sound, seed=3)
        engine.stage.gate.clear()
        client.join("generate", "click", {"speech": file_of(sound), "max-size": 128, "renderer": "geometry"})
        wait_for(lambda: studio.jobs.busy)
        client.leave()
        wait_for(lambda: not studio.jobs.busy, 20)
        with reload(client, address) as again:
            back = again.fire("page", "load")
            assert "seed 3" in back["results"] and "was stopped, as its page had been closed" in back["failed"]
            assert again.fire("page", "load")["failed"] == ""  # it is said once
            held = weakref.ref(page_of(studio, again).photo)
            studio.visitors._limits = replace(limits, keep_seconds=1.0)
        wait_for(lambda: len(studio.visitors) == 0)
        wait_for(lambda: not files_in(studio.visitors.folder))
        gc.collect()
        assert held() is None
        engine.stage.gate.set()


def test_a_bad_line_stops_nothing(wav):
    engine = SmallEngine()
    with running(engine) as (studio, address), Client(address) as client:
        page = come(studio, client)
        client.photo(client.upload(PNG, "p.png")[1])
        sound = client.upload(wav, "s.wav")[1]
        engine.stage.gate.clear()
        got = {}
        thread = threading.Thread(target=lambda: got.update(client.generate(sound)))
        thread.start()
        wait_for(lambda: studio.jobs.busy)
        client.leave()
        wait_for(lambda: page.left is not None)
        client.come()  # under the same name
        wait_for(lambda: page.left is None)
        assert studio.jobs.busy and page.timer is None  # nothing will stop it
        engine.stage.gate.set()
        thread.join(60)
        assert got["stage"] == "Done"


def test_an_edit_comes_back_with_its_history(made):
    studio, address, client, _ = made
    page = page_of(studio, client)
    [*_selected(studio, page)]
    editor = page.edit.editor
    editor.apply({"op": "lock", "start": 0, "stop": 2})
    editor.apply({"op": "put", "curve": "yaw", "frame": 5, "value": 6})
    page.edit.common.acknowledged = 2
    assert not [state for *_, state in _selected(studio, page) if "lanes" in state]  # shown already
    with reload(client, address) as again:
        page = page_of(studio, again)
        states = [state for *_, state in _selected(studio, page) if "lanes" in state]
        assert page.edit.editor is editor and states[-1]["drawn"] and states[-1]["acknowledged"] == 2
        yaw = next(lane for lane in states[-1]["lanes"] if lane["name"] == "yaw")
        assert yaw["keys"] == [[5, 6]] and states[-1]["locks"] == [(0, 2)]
        assert editor.session.undo().startswith("new key") and editor.session.undo().startswith("lock")


def test_new_motion_goes_on_while_the_page_is_loaded_again(made, monkeypatch):
    studio, address, client, _ = made
    page = page_of(studio, client)
    [*_selected(studio, page)]
    editor, go = page.edit.editor, threading.Event()

    def generate(operation, report):
        while not go.is_set():
            report("generating motion", 1, 2)
            time.sleep(0.01)
        editor.session.lock(0, 1)

    monkeypatch.setattr(editor, "generate", generate)
    first = _edited(studio, page, {"op": "regenerate", "sequence": 1})
    assert next(first)[2]["busy"]["heavy"]
    with reload(client, address) as again:
        page, states = page_of(studio, again), []
        thread = threading.Thread(target=lambda: states.extend(state for *_, state in _selected(studio, page)))
        thread.start()
        with pytest.raises(HandedOver):  # the page before is told no more
            list(first)
        wait_for(lambda: any("lanes" in state and state["busy"] for state in states))
        go.set()
        thread.join(60)
        assert states[-1]["locks"] == [(0, 1)] and states[-1]["busy"] is None and states[-1]["error"] == ""


def test_everything_is_cleared_when_asked_for(made):
    studio, address, client, got = made
    assert client.http.post("/studio/forget", headers={"origin": "https://evil.example"}).status_code == 403
    assert len(studio.visitors) == 1
    assert client.http.post("/studio/forget").status_code == 204
    assert len(studio.visitors) == 0 and not files_in(studio.visitors.folder)
    assert client.http.get(links(got["results"])["mp4"]).status_code == 404
    with reload(client, address) as again:
        assert "results" not in again.fire("page", "load")


def test_those_who_have_left_make_room(wav):
    with running(SmallEngine(), Limits(visitors=2)) as (studio, address), Client(address) as first:
        first.come()
        first.photo(first.upload(PNG, "p.png")[1])
        with Client(address) as second:
            second.come()
            first.leave()
            wait_for(lambda: any(visitor.is_away for visitor in studio.visitors._all.values()))
            with Client(address):
                assert first.http.cookies["fd2talk_visitor"] not in studio.visitors._all
