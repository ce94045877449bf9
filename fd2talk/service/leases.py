"""Leases of videos: each is granted to one worker, and only its holder may publish the video, which is done once.

The name of a lease begins with that of its process, `{process}-{anything}`, so that it is known what a process was
working on when it ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fd2talk.service.database import Database
from fd2talk.service.videos import Made, Video, count

_HELD = "lease = ? AND status = 'in_progress'"
_OF_PROCESS = "status = 'in_progress' AND lease GLOB ?"
_NEXT = (
    "SELECT v.seq, v.client FROM videos v JOIN turns t ON t.client = v.client WHERE v.status = 'queued' "
    "ORDER BY t.turn, v.seq LIMIT 1"
)
_STARTS = "SELECT value FROM totals WHERE name = 'starts'"


@dataclass(frozen=True)
class Lost:
    """A video whose lease ended without a result: its id, and why it has failed, or None if it is queued again."""

    id: str
    failed: str | None


class Leases:
    """The operations of workers on the table of videos.

    Args:
        database: that holds it.
        keep_seconds: after which finished videos expire.
    """

    def __init__(self, database: Database, keep_seconds: float) -> None:
        self._database, self._keep = database, keep_seconds

    def begin(self) -> int:
        """Start a generation of workers; workers of earlier generations cannot claim videos any more.

        Returns:
            The number of the generation, for `claim`.
        """
        with self._database.writing() as connection:
            count(connection, "starts")
            return int(connection.execute(_STARTS).fetchone()[0])

    def claim(self, lease: str, start: int) -> Video | None:
        """Claim the next queued video; None if there is none.

        Clients take turns (round robin): next is the oldest video of the client whose last turn is longest ago.

        Args:
            lease: a new name, beginning with that of the process.
            start: from `begin`; a process that has outlived its service gets nothing.
        """
        with self._database.reading() as connection:  # an empty queue, the usual case, takes no write lock
            if connection.execute("SELECT 1 FROM videos WHERE status = 'queued' LIMIT 1").fetchone() is None:
                return None
        with self._database.writing() as connection:
            latest = connection.execute(_STARTS).fetchone()[0]
            row = connection.execute(_NEXT).fetchone()
            if row is None or latest != start:
                return None
            now = time.time()
            connection.execute(
                "UPDATE videos SET status = 'in_progress', lease = ?, started = ?, updated = ?, progress = 0, "
                "stage = 'starting' WHERE seq = ?",
                (lease, now, now, row["seq"]),
            )
            connection.execute(
                "UPDATE turns SET turn = (SELECT max(turn) + 1 FROM turns) WHERE client = ?", (row["client"],)
            )
            row = connection.execute("SELECT *, NULL AS ahead FROM videos WHERE seq = ?", (row["seq"],)).fetchone()
        return Video.of(row)

    def progress(self, lease: str, stage: str, percent: int) -> bool:
        """Record the progress. False: the lease has ended, as the video was deleted or requeued."""
        with self._database.writing() as connection:
            done = connection.execute(
                f"UPDATE videos SET stage = ?, progress = max(progress, ?), updated = ? WHERE {_HELD}",
                (stage, min(percent, 99), time.time(), lease),
            )
        return done.rowcount == 1

    def publish(self, lease: str, made: Made) -> bool:
        """Publish a video whose file is complete and on the disk: from this transaction on clients get it.

        Returns:
            False: the lease has ended, and the file must be removed.
        """
        now = time.time()
        with self._database.writing() as connection:
            done = connection.execute(
                "UPDATE videos SET status = 'completed', progress = 100, stage = NULL, lease = NULL, completed = ?, "
                "expires = ?, updated = ?, result = ?, bytes = ?, sha256 = ?, seconds = ?, width = ?, height = ? "
                f"WHERE result IS NULL AND {_HELD}",
                (now, now + self._keep, now, made.result, made.bytes, made.sha256, made.seconds, made.width,
                 made.height, lease),
            )  # fmt: skip
            if done.rowcount == 1:
                began = connection.execute("SELECT started FROM videos WHERE result = ?", (made.result,)).fetchone()[0]
                count(connection, "completed")
                count(connection, "work_seconds", now - began)
                count(connection, "video_seconds", made.seconds or 0)
        return done.rowcount == 1

    def fail(self, lease: str, code: str, message: str) -> bool:
        """Record that a video cannot be made. False as `progress`."""
        now = time.time()
        with self._database.writing() as connection:
            done = connection.execute(
                "UPDATE videos SET status = 'failed', stage = NULL, lease = NULL, completed = ?, expires = ?, "
                f"updated = ?, error_code = ?, error_message = ? WHERE {_HELD}",
                (now, now + self._keep, now, code, message, lease),
            )
            if done.rowcount == 1:
                count(connection, "failed")
        return done.rowcount == 1

    def needs(self, name: str) -> bool:
        """Whether a video is queued or in progress, so that its files are needed."""
        with self._database.reading() as connection:
            query = "SELECT 1 FROM videos WHERE id = ? AND status IN ('queued', 'in_progress')"
            return connection.execute(query, (name,)).fetchone() is not None

    def under_way(self) -> int:
        """Number of videos in progress."""
        with self._database.reading() as connection:
            query = "SELECT count(*) FROM videos WHERE status = 'in_progress'"
            return int(connection.execute(query).fetchone()[0])

    def give_back(self) -> list[Lost]:
        """Requeue the videos in progress when the service stops; this does not count as an attempt."""
        return self._requeue(None, 0, "")

    def crashed(self, process: str, most: int, how: str) -> list[Lost]:
        """Requeue the video of a process that has ended, or fail it after too many crashes.

        Args:
            process: its name, with which its leases begin.
            most: crashes during one video after which it fails.
            how: the process ended, for the message.
        """
        sentence = f"the process that made this video {how}, {{}} times; it is not tried again"
        return self._requeue("crashes", most, sentence, process)

    def interrupted(self, most: int) -> list[Lost]:
        """The same for all videos in progress when the service itself crashed, noticed at its next start."""
        return self._requeue("interruptions", most, "the service ended {} times while it made this video")

    def _requeue(self, column: str | None, most: int, sentence: str, process: str = "") -> list[Lost]:
        """Requeue or fail the videos in progress of one process, or of all.

        Args:
            column: that counts attempts; None: this is no attempt.
            most: attempts after which a video fails.
            sentence: for the client, with {} for the number of attempts.
            process: name of the process; empty for all.
        """
        now, outcomes = time.time(), []
        with self._database.writing() as connection:
            rows = connection.execute(f"SELECT * FROM videos WHERE {_OF_PROCESS}", (_leases_of(process),)).fetchall()
            for row in rows:
                times = 0 if column is None else row[column] + 1
                why = sentence.format(times) if column is not None and times >= most else None
                if why is None:
                    connection.execute(
                        "UPDATE videos SET status = 'queued', lease = NULL, started = NULL, progress = 0, stage = NULL "
                        "WHERE seq = ?",
                        (row["seq"],),
                    )
                else:
                    connection.execute(
                        "UPDATE videos SET status = 'failed', lease = NULL, stage = NULL, completed = ?, expires = ?, "
                        "error_code = 'worker_crashed', error_message = ? WHERE seq = ?",
                        (now, now + self._keep, why, row["seq"]),
                    )
                    count(connection, "failed")
                if column is not None:
                    connection.execute(f"UPDATE videos SET {column} = ? WHERE seq = ?", (times, row["seq"]))
                    count(connection, column)
                outcomes.append(Lost(row["id"], why))
        return outcomes

    def stalled(self, process: str, seconds: float) -> Video | None:
        """The video of a process if it has made no progress for so many seconds."""
        with self._database.reading() as connection:
            row = connection.execute(
                f"SELECT *, NULL AS ahead FROM videos WHERE {_OF_PROCESS} AND updated < ?",
                (_leases_of(process), time.time() - seconds),
            ).fetchone()
        return None if row is None else Video.of(row)


def _leases_of(process: str) -> str:
    return f"{process}-*" if process else "*"
