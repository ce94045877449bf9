"""The table of uploads: files that several requests may use."""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass

from fd2talk.service.database import Database

PREFIX = "upload_"


@dataclass(frozen=True)
class Upload:
    """A row of the table; its file is named by its id. Times are seconds since 1970."""

    id: str
    name: str
    bytes: int
    sha256: str
    created: float
    expires: float

    @classmethod
    def of(cls, row: sqlite3.Row) -> Upload:
        """From a row."""
        return cls(row["id"], row["name"], row["bytes"], row["sha256"], row["created"], row["expires"])


class Uploads:
    """The table of uploads.

    Args:
        database: that holds it.
        keep_seconds: after which they expire.
    """

    def __init__(self, database: Database, keep_seconds: float) -> None:
        self._database, self._keep = database, keep_seconds

    @staticmethod
    def new_id() -> str:
        """A random id that cannot be guessed."""
        return PREFIX + secrets.token_hex(16)

    def add(self, name: str, file_name: str, size: int, sha256: str, client: str = "") -> Upload:
        """Add an upload of a client, whose file is already in place."""
        now = time.time()
        upload = Upload(name, file_name, size, sha256, now, now + self._keep)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO uploads (id, name, bytes, sha256, created, expires, client) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (upload.id, upload.name, upload.bytes, upload.sha256, upload.created, upload.expires, client),
            )
        return upload

    def find(self, name: str, client: str = "") -> Upload | None:
        """An upload of a client by its id; None for one that does not exist or has expired."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT * FROM uploads WHERE id = ? AND client = ? AND expires > ?", (name, client, time.time())
            ).fetchone()
        return None if row is None else Upload.of(row)

    def delete(self, name: str, client: str = "") -> bool:
        """Remove an upload of a client from the table. False: there is none."""
        with self._database.writing() as connection:
            found = connection.execute("DELETE FROM uploads WHERE id = ? AND client = ?", (name, client))
            return found.rowcount == 1

    def remove_expired(self) -> list[str]:
        """Remove expired rows; returns their ids, whose files the caller removes."""
        with self._database.writing() as connection:
            rows = connection.execute("SELECT id FROM uploads WHERE expires <= ?", (time.time(),)).fetchall()
            connection.executemany("DELETE FROM uploads WHERE id = ?", [(row["id"],) for row in rows])
        return [row["id"] for row in rows]

    def known(self) -> set[str]:
        """All ids."""
        with self._database.reading() as connection:
            return {row["id"] for row in connection.execute("SELECT id FROM uploads")}
