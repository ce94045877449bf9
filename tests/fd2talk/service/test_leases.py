"""The queue: its order, and that a result is published once and never replaced, whoever dies when."""

import sqlite3
import threading
import time

import pytest

from fd2talk.service import database
from fd2talk.service.database import Claim, Database
from fd2talk.service.errors import Refused
from fd2talk.service.leases import Leases
from fd2talk.service.videos import Made, Videos
from shared.errors import UsageError


class Tables:
    def __init__(self, path, keep=3600.0):
        self.database = Database(path)
        self.videos, self.leases = Videos(self.database), Leases(self.database, keep)
        self.start = self.leases.begin()

    def add(self, key=None, digest="", most=100, client="", **options):
        files = {"photo": "p.png"}
        return self.videos.add(options, "folder", files, most=most, key=key, digest=digest, client=client)

    def claim(self, lease, process="p"):
        return self.leases.claim(f"{process}-{lease}", self.start)

    def crashed(self, most=3, how="was ended by the signal SIGKILL", process="p"):
        return self.leases.crashed(process, most, how)


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path / "t.db")


def test_videos_are_begun_in_the_order_in_which_they_came(tables):
    names = [tables.add()[0].id for _ in range(5)]
    assert [tables.videos.find(name).ahead for name in names] == [0, 1, 2, 3, 4]
    assert [tables.claim(f"lease {n}").id for n in range(5)] == names
    assert tables.claim("another") is None


def test_clients_take_turns(tables):
    """Whoever queues many videos waits for whoever queues one, and `ahead` says so."""
    names = {}
    for client, number in (("a", 5), ("b", 2), ("c", 1)):
        for _ in range(number):
            names[tables.add(client=client)[0].id] = client
    expected = "abcabaaa"
    waits = sorted(names, key=lambda name: tables.videos.find(name).ahead)
    assert [names[name] for name in waits] == [*expected]
    assert [tables.videos.find(name).ahead for name in waits] == [*range(8)]
    begun = [tables.claim(str(number)) for number in range(3)]
    assert [video.id for video in begun] == waits[:3]
    assert [tables.videos.find(name).ahead for name in waits[3:]] == [3, 4, 5, 6, 7]  # three are under way
    late = [tables.add(client=client)[0].id for client in "dbb"]
    assert tables.videos.find(late[0]).ahead == 3 + 2  # a and b have waited for their turns longer
    rest = [tables.claim(f"rest {number}").id for number in range(8)]
    assert rest[:3] == [*waits[3:5], late[0]] and set(rest) == {*waits[3:], *late} and tables.claim("more") is None


def test_clients_know_nothing_of_each_other(tables):
    mine, theirs = tables.add("key", "digest", client="a")[0], tables.add("key", "other", client="b")[0]
    assert mine.id != theirs.id  # their keys are their own
    assert tables.add("key", "digest", client="a") == (tables.videos.find(mine.id), False)
    for client, own, foreign in (("a", mine, theirs), ("b", theirs, mine), ("", None, mine)):
        assert [video.id for video in tables.videos.page(10, client=client)[0]] == ([own.id] if own else [])
        assert tables.videos.find(foreign.id, client) is None and tables.videos.delete(foreign.id, client) is None
    with pytest.raises(Refused, match="1 videos are waiting"):
        tables.add(most=1, client="a")
    assert tables.add(most=1, client="c")[1] and tables.videos.find(mine.id) is not None
    assert tables.videos.delete(mine.id, "a").id == mine.id


def test_videos_of_the_version_without_clients_are_kept(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.db")
    for statement in database._SCHEMA.split(";\n"):
        if "turns" not in statement and "by_client" not in statement:
            lines = [line for line in statement.splitlines() if not line.strip().startswith("client TEXT")]
            connection.execute("\n".join(lines).replace("error_message TEXT,", "error_message TEXT")
                               .replace("expires REAL NOT NULL,\n)", "expires REAL NOT NULL\n)"))  # fmt: skip
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO videos (id, status, created, options, folder, files) VALUES "
                       "('video_old', 'queued', 1, '{}', 'f', '{}')")  # fmt: skip
    connection.commit()
    connection.close()
    tables = Tables(tmp_path / "t.db")
    new = tables.add()[0].id
    assert [tables.videos.find(name, "").ahead for name in ("video_old", new)] == [0, 1]
    assert [tables.claim(str(number)).id for number in range(2)] == ["video_old", new]


def test_what_was_interrupted_comes_first_again(tables):
    first, second = tables.add()[0].id, tables.add()[0].id
    assert tables.claim("a").id == first
    assert tables.videos.find(second).ahead == 1
    assert [lost.id for lost in tables.leases.give_back()] == [first]
    assert [tables.claim(lease).id for lease in "bc"] == [first, second]


def test_only_who_holds_the_lease_publishes_and_only_once(tables):
    name = tables.add()[0].id
    tables.claim("old")
    tables.leases.interrupted(20)
    assert not tables.leases.publish("p-old", Made("old.mp4", 1, "0"))  # its process has outlived the service
    assert not tables.leases.progress("p-old", "rendering", 50) and not tables.leases.fail("p-old", "x", "y")
    assert tables.videos.find(name).status == "queued"
    tables.claim("new")
    assert not tables.leases.publish("p-old", Made("old.mp4", 1, "0"))
    assert tables.leases.publish("p-new", Made("new.mp4", 5, "1", 2.0, 64, 48))
    assert not tables.leases.publish("p-new", Made("twice.mp4", 6, "2"))
    assert not tables.leases.fail("p-new", "x", "y")
    video = tables.videos.find(name)
    assert (video.status, video.result, video.bytes, video.progress) == ("completed", "new.mp4", 5, 100)
    tables.leases.interrupted(20), tables.crashed(), tables.leases.give_back()
    assert tables.videos.find(name).result == "new.mp4"
    with tables.database.reading() as connection:
        totals = dict(connection.execute("SELECT name, value FROM totals").fetchall())
    assert totals["completed"] == 1 and totals["video_seconds"] == 2.0


def test_a_process_that_has_outlived_its_service_gets_no_video(tables):
    old = tables.start
    tables.add()
    tables.start = tables.leases.begin()
    assert tables.leases.claim("a", old) is None
    assert tables.claim("b") is not None


def test_the_end_of_one_process_is_no_business_of_the_others(tables):
    first, second, third = (tables.add()[0].id for _ in range(3))
    assert (tables.claim("1", "a").id, tables.claim("1", "b").id) == (first, second)
    assert tables.videos.find(third).ahead == 2
    assert tables.leases.progress("b-1", "rendering", 50)
    assert [lost.id for lost in tables.crashed(process="a")] == [first] and tables.crashed(process="a") == []
    assert tables.videos.find(first).status == "queued" and tables.videos.find(second).progress == 50
    assert tables.claim("2", "c").id == first  # before the third
    assert not tables.leases.publish("a-1", Made("a-1.mp4", 1, "0"))
    assert tables.leases.publish("b-1", Made("b-1.mp4", 1, "0"))
    assert (tables.videos.find(first).crashes, tables.videos.find(second).crashes) == (1, 0)
    time.sleep(0.02)
    assert tables.leases.stalled("a", 0.01) is tables.leases.stalled("b", 0.01) is None
    assert tables.leases.stalled("c", 0.01).id == first
    assert tables.leases.under_way() == 1
    assert [lost.id for lost in tables.leases.give_back()] == [first]


def test_no_video_is_claimed_twice_and_all_are_begun_in_order(tables, tmp_path):
    names = [tables.add(most=200)[0].id for _ in range(120)]
    claimed = {process: [] for process in "abcd"}

    def work(process):
        own = Leases(Database(tmp_path / "t.db"), 3600.0)
        while (video := own.claim(f"{process}-{len(claimed[process])}", tables.start)) is not None:
            claimed[process].append(video.id)

    threads = [
        threading.Thread(target=work, args=[process]) for process in "abcd" if claimed.setdefault(process, []) == []
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sum(claimed.values(), [])) == names
    assert all(theirs == sorted(theirs) for theirs in claimed.values())


def test_crashes_are_counted_and_then_it_has_failed(tables):
    name = tables.add()[0].id
    for number in range(3):
        assert tables.claim(f"lease {number}").crashes == number
        (lost,) = tables.crashed()
        assert (lost.failed is None) == (number < 2)
    video = tables.videos.find(name)
    assert (video.status, video.error_code) == ("failed", "worker_crashed")
    assert "SIGKILL, 3 times" in video.error_message and video.expires is not None
    assert tables.claim("more") is None


def test_stopping_counts_as_no_try(tables):
    tables.add()
    for number in range(50):
        assert tables.claim(f"lease {number}").crashes == 0
        tables.leases.give_back()
    assert tables.claim("last").interruptions == 0


def test_progress_only_grows_and_ends_before_it_is_complete(tables):
    name = tables.add()[0].id
    tables.claim("a")
    for percent in (10, 5, 100):
        assert tables.leases.progress("p-a", "rendering", percent)
    assert tables.videos.find(name).progress == 99
    tables.videos.delete(name)
    assert not tables.leases.progress("p-a", "rendering", 100)


def test_a_video_that_stands_still_is_noticed(tables):
    tables.add()
    tables.claim("a")
    assert tables.leases.stalled("p", 60) is None
    time.sleep(0.02)
    assert tables.leases.stalled("p", 0.01) is not None
    tables.leases.progress("p-a", "rendering", 1)
    assert tables.leases.stalled("p", 600) is None


def test_the_same_key_is_the_same_video(tables):
    video, new = tables.add("key", "digest")
    assert new
    again, new = tables.add("key", "digest", most=0)  # a full queue does not matter
    assert again.id == video.id and not new
    with pytest.raises(Refused, match="another request") as raised:
        tables.add("key", "other")
    assert raised.value.status == 409
    tables.videos.delete(video.id)
    assert tables.add("key", "other")[1]


def test_a_full_queue_says_when_to_come_back(tables):
    for _ in range(3):
        tables.add(most=3)
    for ask in (lambda: tables.add(most=3), lambda: tables.videos.check_room(3, None)):
        with pytest.raises(Refused, match="3 videos are waiting") as raised:
            ask()
        assert raised.value.status == 429 and int(raised.value.headers["Retry-After"]) >= 1
    tables.claim("a")
    assert tables.add(most=3)[1]


def test_pages_show_every_video_once_while_others_come_and_go(tables):
    names = [tables.add()[0].id for _ in range(7)]
    seen, after = [], None
    while True:
        rows, more = tables.videos.page(3, after)
        seen += [row.id for row in rows]
        if not more:
            break
        after = rows[-1].id
        tables.videos.delete(after)  # where the next page begins stays known
        tables.add()
    assert seen == names[::-1]
    assert [row.id for row in tables.videos.page(100, names[5], ascending=True)[0]][0] == names[6]
    with pytest.raises(Refused):
        tables.videos.page(3, "video_1")


def test_what_has_expired_is_gone(tmp_path):
    tables = Tables(tmp_path / "t.db", keep=0.05)
    name, waiting = tables.add("key", "digest")[0].id, tables.add()[0].id
    tables.claim("a")
    tables.leases.publish("p-a", Made("a.mp4", 1, "0"))
    time.sleep(0.06)
    assert tables.videos.find(name) is None and tables.videos.page(10)[0][0].id == waiting
    assert tables.add("key", "other")[1]  # its key has expired with it
    assert [row.id for row in tables.videos.remove_expired()] == [name]
    assert tables.videos.find(waiting) is not None


def test_a_transaction_happens_or_does_not(tables, tmp_path):
    with pytest.raises(ZeroDivisionError), tables.database.writing() as connection:
        connection.execute("INSERT INTO totals VALUES ('x', 1)")
        raise ZeroDivisionError
    with tables.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM totals WHERE name = 'x'").fetchone()[0] == 0
    with tables.database.writing() as connection:  # the one before has ended
        connection.execute("INSERT INTO totals VALUES ('y', 1)")
    other = Database(tmp_path / "t.db")
    with other.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("SELECT count(*) FROM totals WHERE name = 'y'").fetchone()[0] == 1


def test_a_file_of_another_kind_or_version_is_refused(tmp_path):
    (tmp_path / "no.db").write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match="no.db"):
        Database(tmp_path / "no.db")
    connection = sqlite3.connect(tmp_path / "new.db")
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(UsageError, match="another version"):
        Database(tmp_path / "new.db")


def test_a_folder_is_used_once(tmp_path):
    claim = Claim(tmp_path / "lock.db")
    with pytest.raises(UsageError, match="another service uses the folder"):
        Claim(tmp_path / "lock.db")
    claim.close()
    Claim(tmp_path / "lock.db").close()
