"""The table of videos, which is also the queue; workers use it through `fd2talk.service.leases`."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass, fields
from typing import Any

from fd2talk.service.database import Database
from fd2talk.service.errors import Refused

_ID = re.compile(r"video_([0-9a-f]{12})[0-9a-f]{20}")
STATUSES = ("queued", "in_progress", "completed", "failed")


@dataclass(frozen=True)
class Video:
    """A row of the table of videos; times are seconds since 1970."""

    seq: int
    id: str
    status: str
    progress: int
    stage: str | None
    created: float
    started: float | None
    updated: float | None
    completed: float | None
    expires: float | None
    options: dict[str, Any]
    folder: str
    files: dict[str, str]
    lease: str | None
    crashes: int
    interruptions: int
    result: str | None
    bytes: int | None
    sha256: str | None
    seconds: float | None
    width: int | None
    height: int | None
    error_code: str | None
    error_message: str | None
    ahead: int | None = None
    """Number of videos that come first, while it is queued."""

    @classmethod
    def of(cls, row: sqlite3.Row) -> Video:
        """From a row."""
        values = {one.name: row[one.name] for one in fields(cls)}
        return cls(**values | {"options": json.loads(row["options"]), "files": json.loads(row["files"])})


@dataclass(frozen=True)
class Made:
    """A complete file: its name, its size in bytes, SHA-256, length in seconds, and size in pixels."""

    result: str
    bytes: int
    sha256: str
    seconds: float | None = None
    width: int | None = None
    height: int | None = None


# Before a video are those of its client that were queued before, say r, and as many of every other client, if it has so
# many; and one more of those whose turn comes first.
_OTHERS = (
    "SELECT q.client, count(*) AS n, t.turn FROM videos q JOIN turns t ON t.client = q.client "
    "WHERE q.status = 'queued' GROUP BY q.client"
)
_OWN = (
    "SELECT count(*) AS r, (SELECT turn FROM turns WHERE client = v.client) AS turn FROM videos q "
    "WHERE q.status = 'queued' AND q.client = v.client AND q.seq < v.seq"
)
_AHEAD = (
    "SELECT v.*, CASE v.status WHEN 'queued' THEN "
    f"(SELECT sum(min(o.n, m.r + (o.turn < m.turn))) FROM ({_OTHERS}) o, ({_OWN}) m) "
    "+ (SELECT count(*) FROM videos p WHERE p.status = 'in_progress') END AS ahead FROM videos v "
)
_WAITING = "SELECT count(*) FROM videos WHERE status = 'queued' AND client = ?"


class Videos:
    """The table of videos.

    Args:
        database: that holds it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        options: dict[str, Any],
        folder: str,
        files: dict[str, str],
        *,
        most: int,
        key: str | None = None,
        digest: str = "",
        client: str = "",
    ) -> tuple[Video, bool]:
        """Queue a video, or find the one that was queued under the same key before.

        Args:
            options: as the client gave them.
            folder: of its files.
            files: what a file is for -> its name.
            most: videos of a client that may wait.
            key: the client's, or None.
            digest: of the request, to be compared under the same key.
            client: whose it is.

        Returns:
            The video, and whether it is new.

        Raises:
            Refused: the key belongs to another request, or too many videos wait.
        """
        key = _of_client(key, client)
        with self._database.writing() as connection:
            if key is not None:
                found = connection.execute(
                    "SELECT k.digest, v.id FROM keys k JOIN videos v ON v.id = k.video WHERE k.key = ? AND "
                    "(v.expires IS NULL OR v.expires > ?)",
                    (key, time.time()),
                ).fetchone()
                if found is not None:
                    if found["digest"] != digest:
                        sentence = "this Idempotency-Key was used for another request; take a new one"
                        raise Refused(409, "idempotency_key_reused", sentence)
                    return self._one(connection, found["id"]), False
                connection.execute("DELETE FROM keys WHERE key = ?", (key,))
            waiting = connection.execute(_WAITING, (client,)).fetchone()[0]
            if waiting >= most:
                raise self.refusal_of_more(connection, waiting)
            connection.execute("INSERT OR IGNORE INTO turns SELECT ?, coalesce(max(turn), 0) + 1 FROM turns", (client,))
            token = secrets.token_hex(10)
            row = connection.execute(
                "INSERT INTO videos (id, status, created, options, folder, files, client) "
                "VALUES (?, 'queued', ?, ?, ?, ?, ?)",
                (token, time.time(), json.dumps(options), folder, json.dumps(files), client),
            ).lastrowid
            name = f"video_{row:012x}{token}"
            connection.execute("UPDATE videos SET id = ? WHERE seq = ?", (name, row))
            if key is not None:
                connection.execute("INSERT INTO keys VALUES (?, ?, ?)", (key, digest, name))
            return self._one(connection, name), True

    def check_room(self, most: int, key: str | None, client: str = "") -> None:
        """Refuse a request before its files are received; one whose key is known may be a repetition.

        Raises:
            Refused: too many videos wait.
        """
        key = _of_client(key, client)
        with self._database.reading() as connection:
            waiting = connection.execute(_WAITING, (client,)).fetchone()[0]
            known = connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone()
            if waiting >= most and known is None:
                raise self.refusal_of_more(connection, waiting)

    @staticmethod
    def refusal_of_more(connection: sqlite3.Connection, waiting: int) -> Refused:
        """The error of a full queue; `Retry-After` is the mean time of the last videos."""
        each = connection.execute(
            "SELECT avg(took) FROM (SELECT completed - started AS took FROM videos WHERE status = 'completed' "
            "ORDER BY completed DESC LIMIT 20)"
        ).fetchone()[0]
        seconds = round(min(max(each or 10, 1), 600))
        sentence = f"{waiting} videos are waiting already; try again later"
        return Refused(429, "queue_full", sentence, {"Retry-After": str(seconds)})

    def find(self, name: str, client: str | None = None) -> Video | None:
        """A video of a client, or of anybody, by its id; None for one that does not exist or has expired."""
        with self._database.reading() as connection:
            row = connection.execute(
                f"{_AHEAD} WHERE v.id = ? AND v.client = coalesce(?, v.client) AND coalesce(v.expires > ?, TRUE)",
                (name, client, time.time()),
            ).fetchone()
        return None if row is None else Video.of(row)

    def page(
        self,
        limit: int,
        after: str | None = None,
        *,
        ascending: bool = False,
        status: str | None = None,
        client: str = "",
    ) -> tuple[list[Video], bool]:
        """List videos in the order in which they were queued, or in reverse.

        Args:
            limit: how many at most.
            after: the id of the last one of the page before, which may have been removed since.
            ascending: oldest first.
            status: only those.
            client: whose.

        Returns:
            The videos, and whether there are more.

        Raises:
            Refused: `after` is no id.
        """
        where, values = ["(v.expires IS NULL OR v.expires > ?)", "v.client = ?"], [time.time(), client]
        if after is not None:
            if (match := _ID.fullmatch(after)) is None:
                raise Refused(422, "invalid_request", f"after: {after[:60]!r} is no id of a video")
            where.append("v.seq > ?" if ascending else "v.seq < ?")
            values.append(int(match[1], 16))
        if status is not None:
            where.append("v.status = ?")
            values.append(status)
        order = "ASC" if ascending else "DESC"
        with self._database.reading() as connection:
            rows = connection.execute(
                f"{_AHEAD} WHERE {' AND '.join(where)} ORDER BY v.seq {order} LIMIT ?", (*values, limit + 1)
            ).fetchall()
        return [Video.of(row) for row in rows[:limit]], len(rows) > limit

    def delete(self, name: str, client: str | None = None) -> Video | None:
        """Remove a video of a client, or of anybody; who works on it notices. None: there is none."""
        with self._database.writing() as connection:
            row = connection.execute(
                f"{_AHEAD} WHERE v.id = ? AND v.client = coalesce(?, v.client)", (name, client)
            ).fetchone()
            if row is None:
                return None
            connection.execute("DELETE FROM videos WHERE id = ?", (name,))
            if row["status"] in ("queued", "in_progress"):
                count(connection, "cancelled")
        return Video.of(row)

    def remove_expired(self) -> list[Video]:
        """Remove expired rows; returns the videos, whose files the caller removes."""
        with self._database.writing() as connection:
            rows = connection.execute(f"{_AHEAD} WHERE v.expires <= ?", (time.time(),)).fetchall()
            connection.executemany("DELETE FROM videos WHERE seq = ?", [(row["seq"],) for row in rows])
        return [Video.of(row) for row in rows]

    def known(self) -> tuple[set[str], set[str]]:
        """Folders of inputs and names of results that are still needed."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT status, folder, result FROM videos").fetchall()
        waiting = {row["folder"] for row in rows if row["status"] in ("queued", "in_progress")}
        return waiting, {row["result"] for row in rows if row["result"] is not None}

    def finished(self) -> set[str]:
        """Input folders of finished videos; unknown folders may belong to a request that is being received."""
        with self._database.reading() as connection:
            query = "SELECT folder FROM videos WHERE status IN ('completed', 'failed')"
            return {row["folder"] for row in connection.execute(query)}

    @staticmethod
    def _one(connection: sqlite3.Connection, name: str) -> Video:
        return Video.of(connection.execute(f"{_AHEAD} WHERE v.id = ?", (name,)).fetchone())


def _of_client(key: str | None, client: str) -> str | None:
    """The name of a client's key in the table; keys have no spaces."""
    return f"{client} {key}" if client and key is not None else key


def count(connection: sqlite3.Connection, name: str, value: float = 1) -> None:
    """Add to one of the totals that `fd2talk.service.metrics` shows."""
    connection.execute(
        "INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, value),
    )
